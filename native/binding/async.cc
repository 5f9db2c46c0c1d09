#include "binding/async.h"

#include "binding/errors.h"

namespace basecow {

Deferred* Deferred::Create(Napi::Env env) {
  Engine& engine = Engine::Of(env);
  auto* deferred = new Deferred(engine, env);
  engine.Pending(deferred);
  return deferred;
}

void Deferred::Settle(Status status, MakeResult result) {
  status_ = std::move(status);
  result_ = std::move(result);
  engine_.Post(this);
}

void Deferred::Finish(Napi::Env env) {
  if (!status_.ok()) {
    deferred_.Reject(MakeError(env, status_));
    return;
  }
  Napi::Value value = result_ ? result_(env) : env.Undefined();
  if (env.IsExceptionPending()) {
    deferred_.Reject(env.GetAndClearPendingException().Value());
  } else {
    deferred_.Resolve(value);
  }
}

Napi::Value RunAsync(Napi::Env env, const std::vector<Napi::Object>& keep, std::function<Status()> work,
                     MakeResult result) {
  Deferred* deferred = Deferred::Create(env);
  const Napi::Promise promise = deferred->promise();
  for (const Napi::Object& object : keep) deferred->Keep(object);
  Status queued = Engine::Of(env).Queue(
      [deferred, work = std::move(work), result = std::move(result)]() { deferred->Settle(work(), result); });
  if (!queued.ok()) deferred->Settle(std::move(queued));
  return promise;
}

}  // namespace basecow
