#include "binding/job.h"

#include <memory>
#include <vector>

#include "binding/async.h"
#include "binding/engine.h"
#include "binding/errors.h"
#include "binding/job_arguments.h"
#include "binding/job_result.h"

namespace basecow {

namespace {

class JobObject : public Napi::ObjectWrap<JobObject>, public Running {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "NativeJob",
        {InstanceMethod<&JobObject::Submit>("submit"), InstanceMethod<&JobObject::Finish>("finish"),
         InstanceMethod<&JobObject::Abort>("abort")});
  }

  explicit JobObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JobObject>(info) {
    const Napi::Env env = info.Env();
    Arguments arguments(info, "createJob");
    const Napi::Object options = arguments.Object(0, "options");
    if (!arguments.ok()) return;
    JobArguments job;
    const Status status = ReadJobOptions(env, arguments, options, &job);
    if (!arguments.ok()) return;
    if (!status.ok()) {
      Throw(env, status);
      return;
    }
    type_ = job.type;
    direct_ = job.direct;
    ciphers_ = std::move(job.ciphers);
    for (const Napi::Object& object : job.keep) kept_.push_back(Napi::Persistent(object));
    job_ = std::make_unique<Job>(job.options, job.control, std::move(job.sink));
    engine_ = &Engine::Of(env);
    engine_->Register(this);
  }

  ~JobObject() override {
    if (engine_ != nullptr) engine_->Unregister(this);
  }

  void AbortAndJoin() override {
    // The engine may be gone when this object is collected.
    engine_ = nullptr;
    job_->AbortAndJoin();
  }

 private:
  Napi::Value Submit(const Napi::CallbackInfo& info) {
    Arguments arguments(info, "submit");
    auto batch = std::make_shared<Batch>();
    const Napi::Object object = arguments.Object(0, "batch");
    if (arguments.ok()) ReadBatch(arguments, object, type_, direct_, ciphers_, batch.get());
    if (!arguments.ok()) return {};
    Deferred* deferred = Pending(info);
    deferred->Keep(object);
    const Napi::Promise promise = deferred->promise();
    batch->settle = [deferred, type = type_](Status status, BatchResult&& result) {
      auto kept = std::make_shared<BatchResult>(std::move(result));
      deferred->Settle(std::move(status), [kept, type](Napi::Env at) -> Napi::Value {
        return MakeBatchResult(at, type, *kept);
      });
    };
    job_->Submit(std::move(batch));
    return promise;
  }

  Napi::Value Finish(const Napi::CallbackInfo& info) {
    Deferred* deferred = Pending(info);
    const Napi::Promise promise = deferred->promise();
    // `this` lives as long as the promise is pending.
    job_->Finish([this, deferred, type = type_](Status status, const std::shared_ptr<JobTotals>& totals) {
      deferred->Settle(std::move(status), [this, totals, type](Napi::Env at) -> Napi::Value {
        job_->Join();
        ciphers_.Wipe();
        return MakeTotals(at, type, *totals);
      });
    });
    return promise;
  }

  Napi::Value Abort(const Napi::CallbackInfo& info) {
    Deferred* deferred = Pending(info);
    const Napi::Promise promise = deferred->promise();
    job_->Abort([this, deferred] {
      deferred->Settle(Status::Ok(), [this](Napi::Env at) -> Napi::Value {
        job_->Join();
        ciphers_.Wipe();
        return at.Undefined();
      });
    });
    return promise;
  }

  Deferred* Pending(const Napi::CallbackInfo& info) {
    Deferred* deferred = Deferred::Create(info.Env());
    deferred->Keep(info.This().As<Napi::Object>());
    return deferred;
  }

  SinkType type_ = SinkType::kRaw;
  bool direct_ = false;
  CipherSet ciphers_;
  Engine* engine_ = nullptr;
  std::vector<Napi::ObjectReference> kept_;
  /// Last: its threads use what is above.
  std::unique_ptr<Job> job_;
};

}  // namespace

void InitJob(Napi::Env env, Napi::Object exports) {
  auto constructor = std::make_shared<Napi::FunctionReference>(Napi::Persistent(JobObject::Define(env)));
  // The environment frees its references itself, after its functions.
  constructor->SuppressDestruct();
  exports.Set("createJob", Napi::Function::New(
                               env,
                               [constructor](const Napi::CallbackInfo& info) -> Napi::Value {
                                 return constructor->New({info[0]});
                               },
                               "createJob"));
}

}  // namespace basecow
