#include <napi.h>

#include "binding/engine.h"
#include "binding/functions.h"

#if __has_include("binding/job.h")
#include "binding/job.h"
#endif

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  if (basecow::Engine::Install(env) == nullptr) return nullptr;
  Napi::Object object(env, exports);
  basecow::InitInfo(env, object);
  basecow::InitFiles(env, object);
  basecow::InitPublish(env, object);
  basecow::InitCrypt(env, object);
  basecow::InitLock(env, object);
#if __has_include("binding/job.h")
  basecow::InitJob(env, object);
#endif
  return exports;
}
