#include "binding/engine.h"

#include "binding/async.h"
#include "binding/errors.h"

namespace basecow {

Engine* Engine::Install(Napi::Env env) {
  auto engine = std::make_unique<Engine>(env);
  const Status status = engine->Prepare();
  if (!status.ok()) {
    Throw(env, status);
    return nullptr;
  }
  Engine* installed = engine.release();
  env.SetInstanceData<Engine>(installed);
  // Hooks run last in, first out: threads are joined before the way back (settle_) and the instance data go.
  napi_add_env_cleanup_hook(env, OnCleanup, installed);
  return installed;
}

Status Engine::Prepare() {
  const Napi::String name = Napi::String::New(env_, "basecow");
  const napi_status status = napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr,
                                                             nullptr, this, OnCall, &settle_);
  if (status != napi_ok) return Status::System(ENOMEM, "napi_create_threadsafe_function", {});
  napi_unref_threadsafe_function(env_, settle_);
  return Status::Ok();
}

Engine::~Engine() {
  Shutdown();
}

void Engine::OnCleanup(void* engine) {
  static_cast<Engine*>(engine)->Shutdown();
}

void Engine::Shutdown() {
  if (aborting_.exchange(true)) return;
  const std::vector<Running*> running(running_.begin(), running_.end());
  for (Running* one : running) one->AbortAndJoin();

  std::list<Thread> threads;
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(errands_);
    closing_ = true;
  }
  wake_.notify_all();
  // Threads move themselves from threads_ to ended_; wait until the first list is empty, then join all.
  {
    std::unique_lock<std::mutex> lock(mutex_);
    left_.wait(lock, [this] { return threads_.empty(); });
    threads.splice(threads.end(), ended_);
  }
  for (Thread& thread : threads) thread.Join();
  for (Deferred* deferred : pending_) delete deferred;
  pending_.clear();
  if (settle_ != nullptr) napi_release_threadsafe_function(settle_, napi_tsfn_abort);
}

Status Engine::Queue(std::function<void()> errand) {
  std::list<Thread> ended;
  Status status;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended.splice(ended.end(), ended_);
    errands_.push_back(std::move(errand));
    if (errands_.size() > idle_ && threads_.size() < kMaxThreads) {
      threads_.emplace_back();
      const auto self = std::prev(threads_.end());
      status = self->Start("basecow-errand", [this, self] { ThreadBody(self); });
      if (!status.ok()) {
        threads_.erase(self);
        if (threads_.empty()) {
          errands_.pop_back();
        } else {
          status = Status::Ok();
        }
      }
    }
  }
  wake_.notify_one();
  return status;
}

void Engine::ThreadBody(std::list<Thread>::iterator self) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!closing_) {
    if (errands_.empty()) {
      if (idle_ >= kKeepIdle) break;
      ++idle_;
      wake_.wait(lock);
      --idle_;
      continue;
    }
    std::function<void()> errand = std::move(errands_.front());
    errands_.pop_front();
    lock.unlock();
    errand();
    errand = nullptr;
    lock.lock();
  }
  ended_.splice(ended_.end(), threads_, self);
  if (threads_.empty()) left_.notify_all();
}

void Engine::Pending(Deferred* deferred) {
  if (pending_.empty()) napi_ref_threadsafe_function(env_, settle_);
  pending_.insert(deferred);
}

void Engine::Settled(Deferred* deferred) {
  pending_.erase(deferred);
  if (pending_.empty()) napi_unref_threadsafe_function(env_, settle_);
}

void Engine::Post(Deferred* deferred) {
  napi_call_threadsafe_function(settle_, deferred, napi_tsfn_nonblocking);
}

namespace {

/// False when a worker is being terminated: its event loop turns on for a while before Shutdown is called.
bool CanRunJavaScript(napi_env env) {
  napi_value object = nullptr;
  napi_value value = nullptr;
  return napi_create_object(env, &object) == napi_ok && napi_get_undefined(env, &value) == napi_ok &&
         napi_set_named_property(env, object, "probe", value) == napi_ok;
}

}  // namespace

void Engine::OnCall(napi_env env, napi_value /* callback */, void* context, void* data) {
  auto* engine = static_cast<Engine*>(context);
  // At the end of the environment Shutdown has deleted what is pending.
  if (env == nullptr || engine->aborting_.load()) return;
  auto* deferred = static_cast<Deferred*>(data);
  const Napi::HandleScope scope(env);
  if (CanRunJavaScript(env)) deferred->Finish(env);
  engine->Settled(deferred);
  delete deferred;
}

}  // namespace basecow
