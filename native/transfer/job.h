// Runs batches on threads of its own. Knows no format and no JavaScript.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "io/thread.h"
#include "transfer/batch.h"
#include "transfer/control.h"
#include "transfer/reader.h"
#include "transfer/sink.h"

namespace basecow {

struct JobOptions {
  /// 1 to 16.
  uint32_t threads = 1;
  /// Bytes, multiple of every cluster size involved.
  uint64_t segment = 1 << 20;
  ReadOptions read;
};

inline constexpr uint32_t kMaxJobThreads = 16;
inline constexpr uint64_t kMinSegment = 64U << 10;
inline constexpr uint64_t kMaxSegment = 16U << 20;

class Job {
 public:
  using Ended = std::function<void(Status, std::shared_ptr<JobTotals>)>;

  Job(const JobOptions& options, const Control& control, std::unique_ptr<Sink> sink);
  /// Cancels and joins what is still running.
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // One thread calls these (JavaScript's).

  /// `batch->settle` is called from any thread when the batch is done or the job has failed.
  void Submit(std::shared_ptr<Batch> batch);
  /// `ended` is called, from any thread, after all batches are done and the sink is finished.
  void Finish(Ended ended);
  /// Fails everything with ECANCELED; `ended` is called when no thread works any more.
  void Abort(std::function<void()> ended);
  /// Waits for the threads; they must have been told to end.
  void Join();
  void AbortAndJoin();

 private:
  /// `number`: the thread's, from 0.
  void Run(size_t number);
  /// Waits while the job may not use so many threads. False when the thread should leave.
  bool AwaitTurn(size_t number);
  bool Take(Task* task);
  void Done(Task& task, Status status);
  void Fail(Status status);
  /// Under the lock. Batches that need no more work move to `settled`.
  void Drop(std::vector<std::shared_ptr<Batch>>* settled);
  void Settle(std::vector<std::shared_ptr<Batch>>& settled);
  Status Admit(const Batch& batch);
  void Advise(const Source& source);
  /// When the last thread has left (or there is none) and somebody waits for the end.
  void EndIfIdle();
  Status Failure();

  const JobOptions options_;
  const Control control_;
  const std::unique_ptr<Sink> sink_;

  // Of the calling thread only.
  std::vector<Thread> threads_;
  std::unordered_set<int> advised_;
  uint64_t submitted_ = 0;
  uint64_t tasks_ = 0;
  uint64_t position_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Batch>> queue_;
  /// Cut, not yet done; found by pointer.
  std::vector<std::shared_ptr<Batch>> working_;
  std::vector<std::function<void(const Status&)>> waiting_;
  uint64_t ticket_ = 0;
  size_t alive_ = 0;
  bool closing_ = false;
  bool ended_ = false;
  Status failure_;
  std::shared_ptr<JobTotals> totals_;

  std::atomic<bool> stopped_{false};
};

}  // namespace basecow
