#include "binding/engine.h"
#include "binding/functions.h"
#include "codec/deflate.h"
#include "codec/inflate.h"
#include "codec/zstd.h"
#include "hash/sha.h"
#include "hash/zero_scan.h"

#ifndef BASECOW_VERSION
#error "binding.gyp defines BASECOW_VERSION from package.json"
#endif

namespace basecow {

namespace {

Napi::Value TextOrNull(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : Napi::String::New(env, text);
}

Napi::Value EngineInfo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const char* sha = ShaLibrary();
  Napi::Object result = Napi::Object::New(env);
  result.Set("version", BASECOW_VERSION);
  result.Set("inflate", InflateLibrary());
  result.Set("deflate", DeflateLibrary());
  result.Set("zstd", TextOrNull(env, ZstdLibrary()));
  result.Set("sha", TextOrNull(env, sha == nullptr ? "" : sha));
  result.Set("md5", Md5Choice());
  result.Set("zeroScan", ZeroScanName());
  return result;
}

}  // namespace

void InitInfo(Napi::Env env, Napi::Object exports) {
  Export<EngineInfo>(env, exports, "engineInfo");
}

}  // namespace basecow
