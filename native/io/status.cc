#include "io/status.h"

#include <cstring>

namespace basecow {

std::string ErrnoName(int err) {
  const char* name = strerrorname_np(err);
  if (name != nullptr) return name;
  std::string number = "E";
  return number.append(std::to_string(err));
}

Status Status::System(int err, const char* syscall, std::string_view path) {
  return System(err, syscall, path, {});
}

Status Status::System(int err, const char* syscall, std::string_view path, std::string_view detail) {
  Status status;
  status.err = err == 0 ? EIO : err;
  status.syscall = syscall;
  status.path = path;
  const char* text = strerrordesc_np(status.err);
  status.message = ErrnoName(status.err) + ": " + (text != nullptr ? text : "Unknown error") + ", " + syscall;
  if (!path.empty()) status.message.append(" '").append(path).append("'");
  if (!detail.empty()) status.message.append(": ").append(detail);
  return status;
}

Status Status::Coded(const char* code, std::string message, std::string_view path) {
  Status status;
  status.code = code;
  status.message = std::move(message);
  status.path = path;
  return status;
}

Status Status::Cancelled() {
  Status status;
  status.err = ECANCELED;
  status.message = "ECANCELED: Operation canceled";
  return status;
}

}  // namespace basecow
