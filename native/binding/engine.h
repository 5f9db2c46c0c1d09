// What the addon keeps per environment (main thread or worker): errand threads, the way back to the
// JavaScript thread, running jobs. Nothing is shared between environments and there are no globals.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "hash/md5.h"
#include "io/status.h"
#include "io/thread.h"

namespace basecow {

class Deferred;

/// Something with threads of its own (a job) that must be stopped before the environment goes.
class Running {
 public:
  virtual ~Running() = default;
  /// On the JavaScript thread, while the environment is torn down: cancel and join. No JavaScript may be
  /// called; promises need not be settled any more.
  virtual void AbortAndJoin() = 0;
};

class Engine {
 public:
  /// Creates the environment's engine; nullptr with a JavaScript exception pending on failure.
  static Engine* Install(Napi::Env env);
  static Engine& Of(Napi::Env env) { return *env.GetInstanceData<Engine>(); }

  explicit Engine(Napi::Env env) : env_(env) {}
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// True from the moment the environment ends: long work looks at it as at a cancel (see Control).
  [[nodiscard]] const std::atomic<bool>& aborting() const { return aborting_; }
  [[nodiscard]] const Md5Kernels& md5() const { return md5_; }

  /// JavaScript thread. Queues `errand` for an errand thread (at most kMaxThreads run at once, the rest
  /// wait).
  Status Queue(std::function<void()> errand);

  void Register(Running* running) { running_.insert(running); }
  void Unregister(Running* running) { running_.erase(running); }

 private:
  friend class Deferred;
  static constexpr size_t kMaxThreads = 32;
  static constexpr size_t kKeepIdle = 4;

  Status Prepare();
  /// From any thread: runs `deferred`'s settling on the JavaScript thread.
  void Post(Deferred* deferred);
  /// JavaScript thread: the event loop stays alive while there is a promise to settle.
  void Pending(Deferred* deferred);
  void Settled(Deferred* deferred);
  void ThreadBody(std::list<Thread>::iterator self);
  void Shutdown();
  static void OnCall(napi_env env, napi_value callback, void* context, void* data);
  static void OnCleanup(void* engine);

  Napi::Env env_;
  const Md5Kernels& md5_ = PickMd5Kernels();
  std::atomic<bool> aborting_{false};
  napi_threadsafe_function settle_ = nullptr;
  std::unordered_set<Deferred*> pending_;
  std::unordered_set<Running*> running_;

  std::mutex mutex_;
  std::condition_variable wake_;
  /// The last errand thread has left threads_.
  std::condition_variable left_;
  std::deque<std::function<void()>> errands_;
  std::list<Thread> threads_;
  std::list<Thread> ended_;
  size_t idle_ = 0;
  bool closing_ = false;
};

}  // namespace basecow
