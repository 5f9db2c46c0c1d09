// Promises that are settled from other threads.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

#include "binding/engine.h"
#include "io/status.h"

namespace basecow {

/// Makes a job's result in JavaScript; runs on the JavaScript thread inside a handle scope.
using MakeResult = std::function<Napi::Value(Napi::Env)>;

/// One promise. Made on the JavaScript thread; Settle may be called once from any thread, and the object is
/// gone after that. When the environment ends first, it is dropped unsettled. Belongs to the engine.
class Deferred {
 public:
  static Deferred* Create(Napi::Env env);

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }
  /// Keeps a JavaScript object (a buffer that is written to ...) alive until the promise is settled.
  /// JavaScript thread.
  void Keep(Napi::Object object) { kept_.push_back(Napi::Persistent(object)); }

  /// Rejects with `status`, or resolves with `result` (undefined when empty).
  void Settle(Status status, MakeResult result = {});

 private:
  friend class Engine;
  Deferred(Engine& engine, Napi::Env env) : engine_(engine), deferred_(env) {}
  void Finish(Napi::Env env);

  Engine& engine_;
  Napi::Promise::Deferred deferred_;
  std::vector<Napi::ObjectReference> kept_;
  Status status_;
  MakeResult result_;
};

/// Runs `work` on an errand thread and settles with what it returns, then with `result`. `keep`: objects
/// whose memory `work` uses. `work` and `result` usually share a std::shared_ptr to their data.
Napi::Value RunAsync(Napi::Env env, const std::vector<Napi::Object>& keep, std::function<Status()> work,
                     MakeResult result = {});

}  // namespace basecow
