// One submitted range of a job: its plan, how far it has been cut into tasks, and what came of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "transfer/plan.h"

namespace basecow {

class Sink;

struct Range {
  uint64_t start;
  uint64_t length;
};

/// A stretch that could not be digested; index among the stretches of its batch.
struct UnitFailure {
  size_t index;
  Status status;
};

/// Fields as `BatchResult` in src/native.ts.
struct BatchResult {
  uint64_t written = 0;
  std::vector<uint64_t> packed_guest;
  std::vector<uint64_t> packed_host;
  std::vector<uint32_t> packed_size;
  std::vector<uint64_t> zeroed;
  std::vector<uint64_t> group_guest;
  std::vector<uint64_t> group_host;
  uint64_t first_free = 0;
  std::vector<UnitFailure> failures;
  int64_t mismatch = -1;
  std::vector<Range> unreadable;
  /// Of the lowest unreadable place.
  std::string unreadable_reason;
};

struct Digest {
  std::string algorithm;
  std::vector<uint8_t> bytes;
};

struct JobTotals : BatchResult {
  std::vector<Digest> digests;
};

struct Batch;

/// What one thread does in one go: a piece of a batch, at most a segment long unless it is one row of zeros.
struct Task {
  Batch* batch = nullptr;
  uint64_t start = 0;
  uint64_t end = 0;
  /// Index of the row (of the other side's row) that ends after `start`.
  size_t row = 0;
  size_t other_row = 0;
  /// Place in the order of all tasks of the job.
  uint64_t ticket = 0;
  /// No bytes: says to ordered sinks that the batch is through.
  bool last = false;
  /// The whole range lies in one row of zeros and may be longer than a segment.
  bool zeros = false;
  /// Bytes of the range that the sink has already told to the control block, or that do not count.
  uint64_t reported = 0;

  uint64_t written = 0;
  std::vector<Range> unreadable;
  std::string unreadable_reason;
};

struct Batch {
  /// Number within the job, from 1.
  uint64_t id = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  Source source;
  bool has_other = false;
  Source other;
  bool has_placement = false;
  std::vector<Placed> placement;
  /// digest: stretches that are digested each by itself, when the sink does not cut them itself. They may
  /// begin before the batch or end after it.
  std::vector<Range> units;
  /// digest: where the digests of stretches go that end in this batch.
  uint8_t* digests = nullptr;
  size_t digests_length = 0;

  /// Called once, from any thread.
  std::function<void(Status, BatchResult&&)> settle;
  BatchResult result;

  /// Cuts the next task at multiples of `segment`; false when there is none. Ranges that the sink skips are
  /// passed over, their bytes added to `*skipped`. Under the job's lock.
  bool Next(const Sink& sink, uint64_t segment, Task* task, uint64_t* skipped);
  [[nodiscard]] bool cut() const { return cut_; }
  /// No more tasks.
  void Cut() { cut_ = true; }

  size_t outstanding = 0;

 private:
  uint64_t at_ = 0;
  size_t row_ = 0;
  size_t other_row_ = 0;
  bool begun_ = false;
  bool cut_ = false;
};

}  // namespace basecow
