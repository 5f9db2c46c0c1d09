#include "transfer/batch.h"

#include <algorithm>

#include "transfer/sink.h"

namespace basecow {

namespace {

/// First byte at or after `at` that is in a row which the sink does not skip; `end` when there is none.
uint64_t NextWork(const Sink& sink, const std::vector<Row>& rows, size_t first, uint64_t at, uint64_t end) {
  const bool skips_gaps = sink.Skips(nullptr);
  for (size_t i = first; at < end; i++) {
    if (i >= rows.size()) return skips_gaps ? end : at;
    const Row& row = rows[i];
    if (row.end() <= at) continue;
    if (row.start > at && !skips_gaps) return at;
    at = std::max(at, row.start);
    if (at >= end) break;
    if (!sink.Skips(&row)) return at;
    at = row.end();
  }
  return end;
}

}  // namespace

bool Batch::Next(const Sink& sink, uint64_t segment, Task* task, uint64_t* skipped) {
  if (cut_) return false;
  if (!begun_) {
    begun_ = true;
    at_ = start;
    row_ = FirstAt(source.rows, at_);
    other_row_ = FirstAt(other.rows, at_);
  }
  uint64_t work = NextWork(sink, source.rows, row_, at_, end);
  if (has_other) work = std::min(work, NextWork(sink, other.rows, other_row_, at_, end));
  const uint64_t from = work >= end ? end : std::max(at_, work / segment * segment);
  *skipped += from - at_;
  at_ = from;
  task->batch = this;
  if (at_ >= end) {
    cut_ = true;
    if (!sink.WantsLast()) return false;
    task->start = task->end = end;
    task->last = true;
    return true;
  }
  while (row_ < source.rows.size() && source.rows[row_].end() <= at_) row_++;
  while (other_row_ < other.rows.size() && other.rows[other_row_].end() <= at_) other_row_++;
  uint64_t until = sink.Cut(*this, at_, row_);
  const bool cut = until != 0;
  if (!cut) until = (at_ / segment + 1) * segment;
  if (!cut && sink.ZeroRun() > segment && row_ < source.rows.size()) {
    const Row& row = source.rows[row_];
    if (row.start <= at_ && ReadsAsZeros(row.kind)) {
      const uint64_t run = std::min({row.end(), end, at_ + sink.ZeroRun()});
      const uint64_t whole = run == end ? run : run / segment * segment;
      if (whole > until) {
        until = whole;
        task->zeros = true;
      }
    }
  }
  until = std::min(until, end);
  task->start = at_;
  task->end = until;
  task->row = row_;
  task->other_row = other_row_;
  at_ = until;
  if (at_ >= end && !sink.WantsLast()) cut_ = true;
  return true;
}

}  // namespace basecow
