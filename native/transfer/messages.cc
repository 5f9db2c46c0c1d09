#include "transfer/messages.h"

#include <cstring>
#include <string>

namespace basecow {

namespace {

std::string Place(std::string_view path, uint64_t host) {
  return std::string("'").append(path).append("' at host offset ").append(std::to_string(host));
}

Status Failed(const char* verb, Status cause, std::string_view path, uint64_t guest, uint64_t host) {
  if (cause.code != nullptr || cause.err == ECANCELED) return cause;
  const char* text = strerrordesc_np(cause.err);
  cause.message = std::string("error while ") + verb + " at byte " + std::to_string(guest) + ": " +
                  (text != nullptr ? text : "Unknown error") + " (" + Place(path, host) + ")";
  cause.path = path;
  return cause;
}

}  // namespace

Status ReadFailed(Status cause, std::string_view path, uint64_t guest, uint64_t host) {
  return Failed("reading", std::move(cause), path, guest, host);
}

Status WriteFailed(Status cause, std::string_view path, uint64_t guest, uint64_t host) {
  return Failed("writing", std::move(cause), path, guest, host);
}

Status Undecodable(std::string_view codec, std::string_view path, uint64_t guest, uint64_t host) {
  return Status::Coded(kCodeCorrupt,
                       "error while reading at byte " + std::to_string(guest) + ": " + std::string(codec) +
                           " compressed cluster cannot be decompressed (" + Place(path, host) + ")",
                       path);
}

Status EndsEarly(std::string_view path, uint64_t guest, uint64_t host) {
  return Status::Coded(kCodeShrank,
                       "error while reading at byte " + std::to_string(guest) + ": file ends early (" +
                           Place(path, host) + ")",
                       path);
}

Status InvalidPlan(std::string_view sentence) {
  Status status;
  status.err = EINVAL;
  status.message = std::string("EINVAL: ").append(sentence);
  return status;
}

}  // namespace basecow
