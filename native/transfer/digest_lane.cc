#include "transfer/digest_lane.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "transfer/digest_read.h"
#include "transfer/zeros.h"

namespace basecow {

namespace {

/// A window begins at a page.
constexpr uint64_t kPage = 4096;
/// Stretches of one row from which on it is worth going to the file (or to the zeros) for them alone.
constexpr uint64_t kLong = 64U << 10;
/// A read() into memory that the digest then finds in the cache.
constexpr size_t kReadPiece = 64U << 10;
/// Of a window. Each lane begins some cache lines ahead of the one before: chunks that lie a power of two
/// apart would meet in the same few sets of the cache.
constexpr size_t kMapPiece = 64U << 10;
constexpr size_t kSkew = 5 * size_t{64};

}  // namespace

const uint8_t* MapWindow(FaultArea& area, size_t index, int fd, uint64_t offset, uint64_t length) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || static_cast<uint64_t>(info.st_size) < offset + length) return nullptr;
  // Not populated: a fault maps 16 pages at a time, which is cheaper than MADV_POPULATE_READ's walk over all.
  return area.Map(index, fd, offset, static_cast<size_t>(length));
}

void DigestLane::Begin(const UnitPart& part) {
  part_ = part;
  at_ = part.from;
  row_ = part.row;
  refused_ = false;
  window_fd_ = -1;
  ahead_fd_ = -1;
  live = true;
}

void DigestLane::Ahead(const Task& task) {
  const Source& source = task.batch->source;
  while (row_ < source.rows.size() && source.rows[row_].end() <= at_) row_++;
  if (row_ == source.rows.size()) return;
  const Row& row = source.rows[row_];
  if (row.kind != Kind::kData || row.start > at_) return;
  const SourceFile& file = source.files[row.file];
  if (file.traits.direct != nullptr) return;
  const uint64_t host = row.offset + (at_ - row.start);
  if (ahead_fd_ == file.fd && host >= ahead_begin_ && host < ahead_end_) return;
  const uint64_t rest = std::min(row.end(), part_.to) - at_;
  if (rest < kLong) return;
  ahead_fd_ = file.fd;
  ahead_begin_ = host;
  ahead_end_ = host + std::min(rest, kLaneWindow);
  // Twice the step: the next one is on its way while this one is digested.
  ReadAhead(file.fd, host, std::min(rest, 2 * kLaneWindow));
}

Status DigestLane::Next(const LaneContext& context, Task& task, const uint8_t** data, size_t* length) {
  const Source& source = task.batch->source;
  const std::vector<Row>& rows = source.rows;
  while (row_ < rows.size() && rows[row_].end() <= at_) row_++;
  const Row* row = row_ < rows.size() && rows[row_].start <= at_ ? &rows[row_] : nullptr;
  const uint64_t end = std::min(row != nullptr       ? row->end()
                                : row_ < rows.size() ? rows[row_].start
                                                     : part_.to,
                                part_.to);
  const uint64_t rest = end - at_;
  mapped_ = false;
  *data = nullptr;
  if (rest >= kLong || end == part_.to) {
    if (row == nullptr || ReadsAsZeros(row->kind)) {
      *data = kZeros;
      *length = static_cast<size_t>(std::min<uint64_t>(rest, kZeroBlock));
    } else if (row->kind == Kind::kData) {
      *length = static_cast<size_t>(std::min<uint64_t>(rest, kPiece));
      if (rest >= kLong) BASECOW_TRY(Window(context, source, *row, data, length));
      if (*data == nullptr) {
        BASECOW_TRY(Room());
        *data = ReadDirectInto(context.control, source, *row, at_, at_ + *length, buffer_.data());
      }
      if (*data == nullptr) {
        *length = std::min(*length, kReadPiece);
        BASECOW_TRY(ReadRow(context, task, *row, at_ + *length));
        *data = buffer_.data();
      }
    }
  }
  if (*data == nullptr) BASECOW_TRY(Gather(context, task, data, length));
  length_ = *length;
  at_ += length_;
  return Status::Ok();
}

Status DigestLane::Gather(const LaneContext& context, Task& task, const uint8_t** data, size_t* length) {
  const Source& source = task.batch->source;
  // Up to where something long begins that has a better way of its own.
  const uint64_t limit = std::min<uint64_t>(part_.to, at_ + kPiece);
  uint64_t end = at_;
  for (size_t i = row_; end < limit; i++) {
    const Row* row = i < source.rows.size() ? &source.rows[i] : nullptr;
    const uint64_t begin = row != nullptr ? std::min(row->start, limit) : limit;
    if (begin > end) {
      if (begin - end >= kLong && end > at_) break;
      end = begin;
      if (row == nullptr || end >= limit) break;
    }
    const uint64_t stop = std::min(row->end(), limit);
    if (stop - end >= kLong && end > at_ && !IsCompressed(row->kind)) break;
    end = stop;
  }
  BASECOW_TRY(Room());
  BASECOW_TRY(
      FillDirect(context.control, reader(context), source, row_, at_, end, buffer_.data(), task, &bounce_));
  *data = buffer_.data();
  *length = static_cast<size_t>(end - at_);
  return Status::Ok();
}

Status DigestLane::ReadRow(const LaneContext& context, Task& task, const Row& row, uint64_t to) {
  const Source& source = task.batch->source;
  BASECOW_TRY(Room());
  return reader(context).Read(source, static_cast<size_t>(&row - source.rows.data()), at_, to, buffer_.data(),
                              task);
}

Status DigestLane::Window(const LaneContext& context, const Source& source, const Row& row,
                          const uint8_t** data, size_t* length) {
  const SourceFile& file = source.files[row.file];
  if (refused_ || !file.traits.mappable || !context.area.reserved()) return Status::Ok();
  const uint64_t host = row.offset + (at_ - row.start);
  if (window_fd_ != file.fd || host < window_begin_ || host >= window_end_) {
    const uint64_t begin = host / kPage * kPage;
    const uint64_t rest = std::min(row.end(), part_.to) - at_;
    const uint64_t bytes = std::min<uint64_t>(kLaneWindow, host - begin + rest);
    window_fd_ = -1;
    window_data_ = MapWindow(context.area, window_, file.fd, begin, bytes);
    if (window_data_ == nullptr) {
      refused_ = true;
      return Status::Ok();
    }
    window_fd_ = file.fd;
    window_begin_ = begin;
    window_end_ = begin + bytes;
  }
  const size_t skew = at_ == part_.from ? window_ * kSkew : 0;
  *length = static_cast<size_t>(std::min<uint64_t>(std::min(*length, kMapPiece - skew), window_end_ - host));
  *data = window_data_ + (host - window_begin_);
  mapped_ = true;
  context.control.Pace(*length);
  return before_.CopyFrom(state);
}

Status DigestLane::Settle(const LaneContext& context, Task& task) {
  if (!mapped_ || !context.area.Faulted(window_)) return Status::Ok();
  // Zeros stood in for what was not there. The Reader finds out why, or finds it there after all.
  refused_ = true;
  window_fd_ = -1;
  BASECOW_TRY(state.CopyFrom(before_));
  const uint64_t end = at_;
  const Row& row = task.batch->source.rows[row_];
  for (at_ = end - length_; at_ < end;) {
    const uint64_t to = std::min<uint64_t>(end, at_ + kReadPiece);
    BASECOW_TRY(ReadRow(context, task, row, to));
    BASECOW_TRY(state.Update(buffer_.data(), static_cast<size_t>(to - at_)));
    at_ = to;
  }
  return Status::Ok();
}

Reader& DigestLane::reader(const LaneContext& context) {
  // One for each lane: what a reader keeps of compressed clusters serves the bytes that follow.
  if (reader_ == nullptr) reader_ = std::make_unique<Reader>(context.options, context.control);
  return *reader_;
}

Status DigestLane::Room() {
  if (buffer_.data() == nullptr) buffer_ = AlignedBuffer(kPiece + 2 * kDirectAlignment);
  return buffer_.data() == nullptr ? Status::System(ENOMEM, "malloc", {}) : Status::Ok();
}

}  // namespace basecow
