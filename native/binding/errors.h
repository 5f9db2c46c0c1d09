// Statuses as JavaScript errors.
#pragma once

#include <napi.h>

#include "io/status.h"

namespace basecow {

/// An Error with code, and where known errno (negative, as Node's), syscall and path.
Napi::Value MakeError(Napi::Env env, const Status& status);

/// Throws it and returns undefined, for `return Throw(...)`.
Napi::Value Throw(Napi::Env env, const Status& status);

/// Throws a TypeError with code ERR_INVALID_ARG_TYPE and returns undefined.
Napi::Value ThrowType(Napi::Env env, const std::string& message);

}  // namespace basecow
