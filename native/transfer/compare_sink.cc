#include "transfer/compare_sink.h"

#include <atomic>
#include <cstring>

#include "transfer/messages.h"
#include "transfer/worker.h"

namespace basecow {

namespace {

/// Both rows at `at` are the same place of the same file: nothing to read.
bool SamePlace(const Batch& batch, const Row& one, const Row& two, uint64_t at) {
  const SourceFile& first = batch.source.files[one.file];
  const SourceFile& second = batch.other.files[two.file];
  if (one.kind != two.kind || first.inode != second.inode || first.device != second.device) return false;
  if (first.inode == 0 && first.fd != second.fd) return false;
  // Two ways to read the same bytes.
  if (first.cipher != second.cipher) return false;
  if (one.kind == Kind::kData) return one.offset + (at - one.start) == two.offset + (at - two.start);
  return one.offset == two.offset && one.compressed_length == two.compressed_length && one.unit == two.unit &&
         one.skip + (at - one.start) == two.skip + (at - two.start);
}

size_t FirstDifference(const uint8_t* one, const uint8_t* two, size_t length) {
  size_t at = 0;
  for (; at + 4096 <= length && memcmp(one + at, two + at, 4096) == 0; at += 4096) {
  }
  while (at < length && one[at] == two[at]) at++;
  return at;
}

std::atomic_ref<int64_t> Mismatch(Batch& batch) {
  return std::atomic_ref<int64_t>(batch.result.mismatch);
}

bool BehindMismatch(Batch& batch, uint64_t at) {
  const int64_t found = Mismatch(batch).load(std::memory_order_relaxed);
  return found >= 0 && static_cast<uint64_t>(found) < at;
}

void Found(Batch& batch, uint64_t at) {
  auto mismatch = Mismatch(batch);
  const auto value = static_cast<int64_t>(at);
  int64_t known = mismatch.load(std::memory_order_relaxed);
  while ((known < 0 || value < known) &&
         !mismatch.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

bool CompareSink::Skips(const Row* row) const {
  return row == nullptr || ReadsAsZeros(row->kind);
}

Status CompareSink::Check(const Batch& batch) {
  if (!batch.has_other) return InvalidPlan("compare needs a second source");
  return Status::Ok();
}

Status CompareSink::Process(Worker& worker, Task& task) {
  Batch& batch = *task.batch;
  const std::vector<Row>& ones = batch.source.rows;
  const std::vector<Row>& twos = batch.other.rows;
  size_t i = task.row;
  size_t j = task.other_row;
  uint64_t needed = task.start;
  bool differs = false;
  for (uint64_t at = task.start; at < task.end && !differs;) {
    while (i < ones.size() && ones[i].end() <= at) i++;
    while (j < twos.size() && twos[j].end() <= at) j++;
    uint64_t until = task.end;
    const auto row_at = [&](const std::vector<Row>& rows, size_t index) -> const Row* {
      if (index >= rows.size()) return nullptr;
      const bool here = rows[index].start <= at;
      until = std::min(until, here ? rows[index].end() : rows[index].start);
      return here && !ReadsAsZeros(rows[index].kind) ? &rows[index] : nullptr;
    };
    const Row* one = row_at(ones, i);
    const Row* two = row_at(twos, j);
    const bool same = (one == nullptr && two == nullptr) ||
                      (one != nullptr && two != nullptr && SamePlace(batch, *one, *two, at));
    if (same) {
      BASECOW_TRY(Compare(worker, task, needed, at, &differs));
      needed = until;
    }
    at = until;
  }
  if (!differs) BASECOW_TRY(Compare(worker, task, needed, task.end, &differs));
  return Status::Ok();
}

Status CompareSink::Compare(Worker& worker, Task& task, uint64_t from, uint64_t to, bool* differs) {
  Batch& batch = *task.batch;
  if (from == to || BehindMismatch(batch, from)) return Status::Ok();
  if (worker.Cancelled()) return Status::Cancelled();
  uint8_t* const one = worker.Main();
  uint8_t* const two = worker.Second();
  if (one == nullptr || two == nullptr) return Status::System(ENOMEM, "malloc", {});
  BASECOW_TRY(worker.reader.Fill(batch.source, FirstAt(batch.source.rows, from), from, to, one, task));
  BASECOW_TRY(worker.reader.Fill(batch.other, FirstAt(batch.other.rows, from), from, to, two, task));
  const auto length = static_cast<size_t>(to - from);
  const size_t same = FirstDifference(one, two, length);
  if (same < length) {
    Found(batch, from + same);
    *differs = true;
  }
  return Status::Ok();
}

}  // namespace basecow
