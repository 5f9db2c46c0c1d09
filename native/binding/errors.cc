#include "binding/errors.h"

namespace basecow {

Napi::Value MakeError(Napi::Env env, const Status& status) {
  // Not Napi::Error, whose making needs an environment that can still run JavaScript.
  napi_value value = nullptr;
  napi_create_error(env, nullptr, Napi::String::New(env, status.message), &value);
  Napi::Object error(env, value);
  error.Set("code", status.code != nullptr ? std::string(status.code) : ErrnoName(status.err));
  if (status.err != 0) error.Set("errno", Napi::Number::New(env, -status.err));
  if (status.syscall[0] != '\0') error.Set("syscall", status.syscall);
  if (!status.path.empty()) error.Set("path", status.path);
  return error;
}

Napi::Value Throw(Napi::Env env, const Status& status) {
  napi_throw(env, MakeError(env, status));
  return env.Undefined();
}

Napi::Value ThrowType(Napi::Env env, const std::string& message) {
  Napi::Object error = Napi::TypeError::New(env, message).Value();
  error.Set("code", "ERR_INVALID_ARG_TYPE");
  napi_throw(env, error);
  return env.Undefined();
}

}  // namespace basecow
