#include "transfer/unit_sink.h"

#include <algorithm>

#include "transfer/unit_run.h"

namespace basecow {

namespace {

/// Bytes of small units in one task: enough to make a task's price small, few enough for all threads to have
/// one.
constexpr uint64_t kTaskBytes = 4U << 20;
/// Units of any kind in one task; those of zeros cost next to nothing.
constexpr size_t kTaskUnits = 1U << 20;

}  // namespace

void UnitCarry::Put(uint64_t next, const DigestState& state, bool failed, const std::string& algorithm,
                    Status* status) {
  auto copy = std::make_unique<DigestState>();
  *status = failed ? copy->Start(algorithm) : copy->CopyFrom(state);
  {
    const std::lock_guard lock(mutex_);
    carried_[next] = {std::move(copy), failed};
  }
  wake_.notify_all();
}

bool UnitCarry::Take(uint64_t from, DigestState* state, bool* failed, Status* status) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return stopped_ || carried_.count(from) != 0; });
  if (stopped_) return false;
  const auto found = carried_.find(from);
  *status = state->CopyFrom(*found->second.state);
  *failed = found->second.failed;
  carried_.erase(found);
  return true;
}

void UnitCarry::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
}

UnitSink::UnitSink(const DigestOptions& options)
    : threads_(std::max(options.threads, 1U)), gap_free_(!options.ranges) {
  shared_.units = UnitMap(options.chunk_size, options.size, DigestSize(options.unit_algorithm));
  shared_.algorithm = options.unit_algorithm;
  shared_.is_md5 = options.unit_algorithm == "md5";
  shared_.keep_going = options.keep_going;
  shared_.md5 = options.md5;
}

Status UnitSink::Check(const Batch& batch) {
  return shared_.units.Check(batch);
}

uint64_t UnitSink::Cut(const Batch& batch, uint64_t at, size_t row) const {
  const UnitMap& units = shared_.units;
  const std::vector<Row>& rows = batch.source.rows;
  const size_t count = units.Count(batch);
  const size_t first = units.After(batch, at);
  if (first >= count) return batch.end;
  const size_t share = (count - first + threads_ - 1) / threads_;
  const size_t most = shared_.is_md5 ? std::clamp<size_t>(share, 1, kUnitLanes) : 1;
  size_t lanes = 0;
  uint64_t bytes = 0;
  uint64_t end = at;
  for (size_t i = first; i < count && i < first + kTaskUnits;) {
    const Unit unit = units.At(batch, i);
    const uint64_t from = std::max(unit.start, batch.start);
    const uint64_t to = std::min(unit.end, batch.end);
    while (row < rows.size() && rows[row].end() <= from) row++;
    if (const size_t zeros = units.Zeros(batch, i, row); zeros != 0) {
      i += zeros;
      end = units.At(batch, i - 1).end;
      continue;
    }
    if (to - from <= kSmallUnit) {
      if (bytes >= kTaskBytes) break;
      bytes += to - from;
    } else {
      if (lanes == most) break;
      lanes++;
    }
    end = to;
    i++;
  }
  return end;
}

Status UnitSink::Process(Worker& worker, Task& task) {
  if (worker.scratch == nullptr) worker.scratch = std::make_unique<UnitRun>(shared_, worker);
  return static_cast<UnitRun&>(*worker.scratch).Run(task);
}

}  // namespace basecow
