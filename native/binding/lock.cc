#include "io/lock.h"

#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/functions.h"

namespace basecow {

namespace {

/// ofdLock(fd, offset, length, 'read' | 'write' | 'unlock'): boolean
Napi::Value OfdLockCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "ofdLock");
  const int fd = arguments.Fd(0, "fd");
  const uint64_t offset = arguments.Offset(1, "offset");
  const uint64_t length = arguments.Offset(2, "length");
  const int type = arguments.Choice(3, "type", {"read", "write", "unlock"});
  if (!arguments.ok()) return {};
  static constexpr LockType kTypes[] = {LockType::kRead, LockType::kWrite, LockType::kUnlock};
  bool taken = false;
  const Status status = OfdLock(fd, offset, length, kTypes[type], &taken);
  if (!status.ok()) return Throw(info.Env(), status);
  return Napi::Boolean::New(info.Env(), taken);
}

/// ofdTest(fd, offset, length): boolean
Napi::Value OfdTestCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "ofdTest");
  const int fd = arguments.Fd(0, "fd");
  const uint64_t offset = arguments.Offset(1, "offset");
  const uint64_t length = arguments.Offset(2, "length");
  if (!arguments.ok()) return {};
  bool held = false;
  const Status status = OfdTest(fd, offset, length, &held);
  if (!status.ok()) return Throw(info.Env(), status);
  return Napi::Boolean::New(info.Env(), held);
}

}  // namespace

void InitLock(Napi::Env env, Napi::Object exports) {
  Export<OfdLockCall>(env, exports, "ofdLock");
  Export<OfdTestCall>(env, exports, "ofdTest");
}

}  // namespace basecow
