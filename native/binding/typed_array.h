// Typed arrays made from results.
#pragma once

#include <napi.h>

#include <cstddef>

namespace basecow {

/// A new `Array` (Napi::Float64Array ...) of `length` elements that `fill(data)` writes. When the environment
/// is ending there is no memory behind it: `fill` is not called.
template <typename Array, typename Fill>
Array MakeTypedArray(Napi::Env env, size_t length, const Fill& fill) {
  Array array = Array::New(env, length);
  if (length != 0 && !array.IsEmpty() && array.Data() != nullptr) fill(array.Data());
  return array;
}

}  // namespace basecow
