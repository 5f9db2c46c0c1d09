// The groups of functions that src/native.ts declares; each adds its own to `exports`.
#pragma once

#include <napi.h>

namespace basecow {

/// engineInfo.
void InitInfo(Napi::Env env, Napi::Object exports);
/// copyFile, dataRuns, extend, syncfs, zeroRange, hintNewFile, blockDeviceSize.
void InitFiles(Napi::Env env, Napi::Object exports);
/// publishFiles, writePieces, linkFd.
void InitPublish(Napi::Env env, Napi::Object exports);
/// cryptSectors.
void InitCrypt(Napi::Env env, Napi::Object exports);
/// ofdLock, ofdTest.
void InitLock(Napi::Env env, Napi::Object exports);
// createJob: InitJob(env, exports) in binding/job.h.

/// Adds `callback` to `exports` under `name`.
template <Napi::Value (*callback)(const Napi::CallbackInfo&)>
void Export(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<callback>(env, name));
}

}  // namespace basecow
