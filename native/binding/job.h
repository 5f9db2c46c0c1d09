// createJob and its result, NativeJob in src/native.ts.
#pragma once

#include <napi.h>

namespace basecow {

void InitJob(Napi::Env env, Napi::Object exports);

}  // namespace basecow
