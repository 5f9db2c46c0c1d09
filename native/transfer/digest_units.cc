#include "transfer/digest_units.h"

#include <algorithm>
#include <cstring>

#include "transfer/messages.h"

namespace basecow {

Status UnitMap::Check(const Batch& batch) const {
  if (chunk_size_ != 0 && batch.end > size_) return InvalidPlan("batch ends after the last chunk");
  uint64_t end = 0;
  for (const Range& range : batch.units) {
    if (range.length == 0 || range.start > kMaxOffset || range.length > kMaxOffset - range.start) {
      return InvalidPlan("stretch is empty or beyond 2^53");
    }
    if (range.start < end) return InvalidPlan("stretch begins before the one before it ends");
    end = range.start + range.length;
    if (range.start >= batch.end || end <= batch.start) return InvalidPlan("stretch outside its batch");
  }
  const size_t count = Count(batch);
  const size_t open = count != 0 && At(batch, count - 1).end > batch.end ? 1 : 0;
  if (batch.digests_length / width_ < count - open) return InvalidPlan("no room for the digests of a batch");
  return Status::Ok();
}

size_t UnitMap::Count(const Batch& batch) const {
  if (chunk_size_ == 0) return batch.units.size();
  if (batch.end == batch.start) return 0;
  return static_cast<size_t>((batch.end + chunk_size_ - 1) / chunk_size_ - batch.start / chunk_size_);
}

Unit UnitMap::At(const Batch& batch, size_t index) const {
  if (chunk_size_ == 0) {
    const Range& range = batch.units[index];
    return {index, range.start, range.start + range.length};
  }
  const uint64_t start = (batch.start / chunk_size_ + index) * chunk_size_;
  return {index, start, std::min(start + chunk_size_, size_)};
}

size_t UnitMap::After(const Batch& batch, uint64_t at) const {
  if (chunk_size_ != 0) return static_cast<size_t>(at / chunk_size_ - batch.start / chunk_size_);
  const auto& units = batch.units;
  const auto found = std::partition_point(
      units.begin(), units.end(), [&](const Range& range) { return range.start + range.length <= at; });
  return static_cast<size_t>(found - units.begin());
}

size_t UnitMap::Zeros(const Batch& batch, size_t first, size_t row) const {
  const std::vector<Row>& rows = batch.source.rows;
  const Unit unit = At(batch, first);
  if (unit.start < batch.start || unit.end > batch.end) return 0;
  uint64_t end = unit.start;
  while (end < batch.end) {
    const bool gap = row >= rows.size() || rows[row].start > end;
    if (!gap && !ReadsAsZeros(rows[row].kind)) break;
    end = gap ? (row < rows.size() ? rows[row].start : batch.end) : rows[row++].end();
    // Between stretches there is nothing to look at.
    if (chunk_size_ == 0 && end >= unit.end) break;
  }
  end = std::min(end, batch.end);
  if (end < unit.end) return 0;
  if (chunk_size_ == 0) {
    size_t until = first + 1;
    while (until < batch.units.size() && batch.units[until].start + batch.units[until].length <= end &&
           batch.units[until].length == unit.length()) {
      until++;
    }
    return until - first;
  }
  return std::max<size_t>(1, static_cast<size_t>((end - unit.start) / chunk_size_));
}

bool ZeroDigests::Find(uint64_t length, uint8_t* digest, size_t width) {
  const std::lock_guard lock(mutex_);
  for (const Known& known : known_) {
    if (known.length != length) continue;
    memcpy(digest, known.digest, width);
    return true;
  }
  return false;
}

void ZeroDigests::Put(uint64_t length, const uint8_t* digest, size_t width) {
  const std::lock_guard lock(mutex_);
  Known known{};
  known.length = length;
  memcpy(known.digest, digest, width);
  if (known_.size() < kMost) {
    known_.push_back(known);
  } else {
    known_[oldest_++ % kMost] = known;
  }
}

}  // namespace basecow
