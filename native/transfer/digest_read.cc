#include "transfer/digest_read.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

namespace basecow {

namespace {

constexpr uint64_t kMask = kDirectAlignment - 1;

bool Cached(int fd, uint64_t offset) {
  uint8_t byte = 0;
  iovec piece = {&byte, 1};
  return preadv2(fd, &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
}

}  // namespace

const uint8_t* ReadDirectInto(const Control& control, const Source& source, const Row& row, uint64_t from,
                              uint64_t to, uint8_t* buffer) {
  if (row.kind != Kind::kData) return nullptr;
  const SourceFile& file = source.files[row.file];
  if (file.traits.direct == nullptr) return nullptr;
  const uint64_t host = row.offset + (from - row.start);
  const uint64_t begin = host & ~kMask;
  const uint64_t wanted = host + (to - from) - begin;
  const uint64_t length = (wanted + kMask) & ~kMask;
  control.Pace(to - from);
  size_t got = 0;
  // A read that ends at the end of the file is short by less than the alignment; what is missing beyond that,
  // or fails, is read again by the Reader.
  if (!ReadFull(file.traits.direct->get(), file.path, buffer, length, begin, &got).ok() && got < wanted) {
    return nullptr;
  }
  return got < wanted ? nullptr : buffer + (host - begin);
}

bool ReadDirect(const Control& control, const Source& source, const Row& row, uint64_t from, uint64_t to,
                uint8_t* out) {
  if (row.kind != Kind::kData) return false;
  const uint64_t host = row.offset + (from - row.start);
  if ((host & kMask) != 0 || (reinterpret_cast<uintptr_t>(out) & kMask) != 0) return false;
  return ReadDirectInto(control, source, row, from, to, out) != nullptr;
}

Status FillDirect(const Control& control, Reader& reader, const Source& source, size_t first, uint64_t start,
                  uint64_t end, uint8_t* out, Task& task, AlignedBuffer* bounce) {
  constexpr uint64_t kBounce = 256U << 10;
  return ForEachPart(source.rows, first, start, end, [&](const Row* row, uint64_t from, uint64_t to) {
    uint8_t* const place = out + (from - start);
    if (row == nullptr || ReadsAsZeros(row->kind)) {
      memset(place, 0, to - from);
      return Status::Ok();
    }
    uint64_t at = from;
    if (row->kind == Kind::kData && source.files[row->file].traits.direct != nullptr) {
      if (bounce->data() == nullptr) *bounce = AlignedBuffer(kBounce + 2 * kDirectAlignment);
      while (at < to && bounce->data() != nullptr) {
        const uint64_t until = std::min(to, at + kBounce);
        const uint8_t* const data = ReadDirectInto(control, source, *row, at, until, bounce->data());
        if (data == nullptr) break;
        memcpy(out + (at - start), data, until - at);
        at = until;
      }
    }
    if (at == to) return Status::Ok();
    return reader.Read(source, static_cast<size_t>(row - source.rows.data()), at, to, out + (at - start),
                       task);
  });
}

void ReadAhead(int fd, uint64_t offset, uint64_t length) {
  if (length == 0 || (Cached(fd, offset) && Cached(fd, offset + length - 1))) return;
  posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
}

}  // namespace basecow
