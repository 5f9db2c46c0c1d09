#include "transfer/job.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

#include "transfer/messages.h"
#include "transfer/worker.h"

namespace basecow {

Job::Job(const JobOptions& options, const Control& control, std::unique_ptr<Sink> sink)
    : options_(options), control_(control), sink_(std::move(sink)), totals_(std::make_shared<JobTotals>()) {}

Job::~Job() {
  AbortAndJoin();
}

void Job::Submit(std::shared_ptr<Batch> batch) {
  Status refused = Failure();
  if (refused.ok()) {
    refused = Admit(*batch);
    if (!refused.ok()) Fail(refused);
  }
  if (!refused.ok()) {
    batch->settle(std::move(refused), {});
    return;
  }
  // No window and no direct read shows what is decrypted.
  for (Source* source : {&batch->source, &batch->other}) {
    for (SourceFile& file : source->files) {
      if (file.cipher != nullptr) file.traits = {};
    }
  }
  Advise(batch->source);
  if (batch->has_other) Advise(batch->other);
  batch->id = ++submitted_;
  tasks_ += (batch->end - batch->start) / options_.segment + 2;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(batch));
  }
  wake_.notify_all();
  while (threads_.size() < options_.threads && threads_.size() + 1 < tasks_) {
    {
      const std::lock_guard lock(mutex_);
      alive_++;
    }
    Thread thread;
    Status started = thread.Start("basecow-job", [this, number = threads_.size()] { Run(number); });
    if (!started.ok()) {
      bool alone;
      {
        const std::lock_guard lock(mutex_);
        alone = --alive_ == 0;
      }
      // Fewer threads than asked for are enough; none is not.
      if (alone && threads_.empty()) Fail(std::move(started));
      break;
    }
    threads_.push_back(std::move(thread));
  }
}

Status Job::Admit(const Batch& batch) {
  if (closing_) return InvalidPlan("submit after finish or abort");
  if (batch.end < batch.start || batch.end > kMaxOffset) return InvalidPlan("batch range beyond 2^53");
  if (batch.start < position_) {
    return InvalidPlan("batch at " + std::to_string(batch.start) + " comes after " +
                       std::to_string(position_));
  }
  if (sink_->GapFree()) {
    if (batch.start != position_) {
      return InvalidPlan("batch must start at " + std::to_string(position_) + ", not " +
                         std::to_string(batch.start));
    }
    if (batch.start % options_.segment != 0 && batch.end != batch.start) {
      return InvalidPlan("only the last batch may end inside a segment");
    }
  }
  BASECOW_TRY(ValidateSource(batch.source));
  if (batch.has_other) BASECOW_TRY(ValidateSource(batch.other));
  if (batch.has_placement) BASECOW_TRY(ValidatePlacement(batch.placement));
  BASECOW_TRY(sink_->Check(batch));
  position_ = batch.end;
  return Status::Ok();
}

void Job::Advise(const Source& source) {
  for (const SourceFile& file : source.files) {
    if (advised_.insert(file.fd).second) posix_fadvise(file.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
}

bool Job::AwaitTurn(size_t number) {
  constexpr std::chrono::milliseconds kLook{10};
  while (!control_.Admits(number)) {
    std::unique_lock lock(mutex_);
    // The first thread always may work: the others leave the end to it.
    if (closing_ || stopped_.load(std::memory_order_relaxed)) return false;
    wake_.wait_for(lock, kLook, [&] { return closing_ || stopped_.load(std::memory_order_relaxed); });
  }
  return true;
}

void Job::Run(size_t number) {
  control_.Prioritize();
  {
    Worker worker(options_.read, control_, stopped_, options_.segment);
    while (AwaitTurn(number)) {
      Task task;
      if (!Take(&task)) break;
      const uint64_t length = task.end - task.start;
      Status status = worker.Cancelled() ? Status::Cancelled() : sink_->Process(worker, task);
      if (status.ok()) control_.Advance(length - task.reported);
      Done(task, std::move(status));
    }
    Status left = sink_->Leave(worker);
    if (!left.ok()) Fail(std::move(left));
  }
  {
    const std::lock_guard lock(mutex_);
    alive_--;
  }
  EndIfIdle();
}

bool Job::Take(Task* task) {
  std::vector<std::shared_ptr<Batch>> settled;
  uint64_t skipped = 0;
  bool taken = false;
  bool leave = false;
  while (!taken && !leave) {
    {
      std::unique_lock lock(mutex_);
      if (queue_.empty() && !closing_ && !stopped_.load(std::memory_order_relaxed)) {
        wake_.wait(lock,
                   [&] { return !queue_.empty() || closing_ || stopped_.load(std::memory_order_relaxed); });
      }
      if (stopped_.load(std::memory_order_relaxed)) {
        Drop(&settled);
        leave = true;
      } else if (queue_.empty()) {
        leave = true;
      } else {
        const std::shared_ptr<Batch>& front = queue_.front();
        taken = front->Next(*sink_, options_.segment, task, &skipped);
        if (taken) {
          task->ticket = ticket_++;
          front->outstanding++;
        }
        if (front->cut()) {
          (front->outstanding == 0 ? settled : working_).push_back(front);
          queue_.pop_front();
        }
      }
    }
    if (skipped != 0) control_.Advance(skipped);
    skipped = 0;
    Settle(settled);
  }
  return taken;
}

void Job::Done(Task& task, Status status) {
  if (!status.ok()) Fail(std::move(status));
  std::vector<std::shared_ptr<Batch>> settled;
  {
    const std::lock_guard lock(mutex_);
    Batch& batch = *task.batch;
    BatchResult& result = batch.result;
    result.written += task.written;
    if (!task.unreadable.empty()) {
      const bool lowest =
          result.unreadable.empty() || task.unreadable.front().start < result.unreadable.front().start;
      if (lowest) result.unreadable_reason = std::move(task.unreadable_reason);
      result.unreadable.insert(lowest ? result.unreadable.begin() : result.unreadable.end(),
                               task.unreadable.begin(), task.unreadable.end());
    }
    batch.outstanding--;
    if (batch.outstanding == 0 && batch.cut()) {
      const auto found =
          std::find_if(working_.begin(), working_.end(),
                       [&](const std::shared_ptr<Batch>& other) { return other.get() == &batch; });
      if (found != working_.end()) {
        settled.push_back(std::move(*found));
        working_.erase(found);
      }
    }
  }
  Settle(settled);
}

void Job::Drop(std::vector<std::shared_ptr<Batch>>* settled) {
  for (std::shared_ptr<Batch>& batch : queue_) {
    batch->Cut();
    (batch->outstanding == 0 ? *settled : working_).push_back(std::move(batch));
  }
  queue_.clear();
}

void Job::Settle(std::vector<std::shared_ptr<Batch>>& settled) {
  for (std::shared_ptr<Batch>& batch : settled) {
    Status status = Failure();
    std::vector<Range>& unreadable = batch->result.unreadable;
    std::sort(unreadable.begin(), unreadable.end(),
              [](const Range& a, const Range& b) { return a.start < b.start; });
    if (status.ok()) {
      const std::lock_guard lock(mutex_);
      totals_->written += batch->result.written;
    }
    batch->settle(std::move(status), std::move(batch->result));
  }
  settled.clear();
}

Status Job::Failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Job::Fail(Status status) {
  std::vector<std::shared_ptr<Batch>> settled;
  {
    const std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = std::move(status);
    stopped_.store(true, std::memory_order_relaxed);
    Drop(&settled);
  }
  sink_->Stop();
  wake_.notify_all();
  Settle(settled);
}

void Job::Finish(Ended ended) {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    waiting_.emplace_back([this, ended = std::move(ended)](const Status& status) { ended(status, totals_); });
  }
  wake_.notify_all();
  EndIfIdle();
}

void Job::Abort(std::function<void()> ended) {
  Fail(Status::Cancelled());
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    waiting_.emplace_back([ended = std::move(ended)](const Status&) { ended(); });
  }
  wake_.notify_all();
  EndIfIdle();
}

void Job::EndIfIdle() {
  std::vector<std::function<void(const Status&)>> waiting;
  Status status;
  {
    const std::lock_guard lock(mutex_);
    if (alive_ != 0 || waiting_.empty()) return;
    if (!ended_) {
      ended_ = true;
      if (failure_.ok() && control_.Cancelled()) failure_ = Status::Cancelled();
      if (failure_.ok()) failure_ = sink_->Finish(*totals_);
    }
    waiting.swap(waiting_);
    status = failure_;
  }
  for (const auto& tell : waiting) tell(status);
}

void Job::Join() {
  for (Thread& thread : threads_) thread.Join();
  threads_.clear();
}

void Job::AbortAndJoin() {
  Fail(Status::Cancelled());
  Join();
}

}  // namespace basecow
