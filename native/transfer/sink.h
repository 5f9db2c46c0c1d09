// What a job does with the bytes.
#pragma once

#include <cstdint>

#include "transfer/batch.h"

namespace basecow {

class Worker;

class Sink {
 public:
  virtual ~Sink() = default;

  /// A stretch of this kind (nullptr: a gap between rows) needs no visit.
  [[nodiscard]] virtual bool Skips(const Row* row) const = 0;
  /// Bytes of one row of zeros that a task may have beyond a segment; 0 = as all others.
  [[nodiscard]] virtual uint64_t ZeroRun() const { return 0; }
  /// Where the task that begins at `at`, in or before source.rows[row], ends; 0 = at the end of its segment.
  /// Under the job's lock.
  [[nodiscard]] virtual uint64_t Cut(const Batch& batch, uint64_t at, size_t row) const {
    (void)batch;
    (void)at;
    (void)row;
    return 0;
  }
  /// Each batch ends with a task `last`.
  [[nodiscard]] virtual bool WantsLast() const { return false; }
  /// Batches must follow one another without gaps, cut at segments.
  [[nodiscard]] virtual bool GapFree() const { return false; }
  /// Before a batch is queued; JavaScript thread.
  virtual Status Check(const Batch& batch) = 0;
  /// On a worker's thread.
  virtual Status Process(Worker& worker, Task& task) = 0;
  /// A worker has no more to do.
  virtual Status Leave(Worker& worker) {
    (void)worker;
    return Status::Ok();
  }
  /// All tasks are done.
  virtual Status Finish(JobTotals& totals) {
    (void)totals;
    return Status::Ok();
  }
  /// The job failed: nobody may wait for anything any more. From any thread.
  virtual void Stop() {}
};

}  // namespace basecow
