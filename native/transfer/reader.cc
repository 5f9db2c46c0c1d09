#include "transfer/reader.h"

#include <fcntl.h>

#include <cstring>

#include "transfer/messages.h"

namespace basecow {

namespace {

/// Between two looks at the cancel flag.
constexpr size_t kPiece = 1U << 20;
/// The same for what is decrypted: it is in the cache still when its turn comes.
constexpr size_t kSealedPiece = 256U << 10;
constexpr size_t kSector = 512;
/// Compressed bytes read ahead in one call.
constexpr size_t kInput = 1U << 20;
/// Unused bytes between two compressed runs that are worth reading over.
constexpr uint64_t kSmallGap = 4096;

}  // namespace

Status Reader::Fill(const Source& source, size_t first, uint64_t start, uint64_t end, uint8_t* out,
                    Task& task) {
  return ForEachPart(source.rows, first, start, end, [&](const Row* row, uint64_t from, uint64_t to) {
    uint8_t* place = out + (from - start);
    if (row == nullptr || ReadsAsZeros(row->kind)) {
      memset(place, 0, to - from);
      return Status::Ok();
    }
    return Read(source, static_cast<size_t>(row - source.rows.data()), from, to, place, task);
  });
}

Status Reader::Read(const Source& source, size_t index, uint64_t from, uint64_t to, uint8_t* out,
                    Task& task) {
  const Row& row = source.rows[index];
  if (IsCompressed(row.kind)) return ReadUnit(source, index, from, to, out, task);
  return ReadData(source.files[row.file], row, from, to, out, task);
}

Status Reader::ReadData(const SourceFile& file, const Row& row, uint64_t from, uint64_t to, uint8_t* out,
                        Task& task) {
  for (uint64_t at = from; at < to;) {
    if (control_.Cancelled()) return Status::Cancelled();
    const size_t most = file.cipher == nullptr ? kPiece : kSealedPiece;
    auto length = static_cast<size_t>(std::min<uint64_t>(to - at, control_.Portion(most)));
    const uint64_t host = row.offset + (at - row.start);
    if (file.cipher != nullptr && at + length < to) {
      // The next piece begins with a sector.
      const size_t over = static_cast<uint64_t>(file.cipher->Position(at, host) + length) % kCipherSector;
      if (over < length) length -= over;
    }
    control_.Pace(length);
    uint8_t* place = out + (at - from);
    Status status = ReadPiece(file, at, host, length, place);
    if (!status.ok()) {
      if (!options_.salvage) return status;
      BASECOW_TRY(Salvage(file, at, host, length, place, task));
    }
    if (options_.drop_cache) {
      posix_fadvise(file.fd, static_cast<off_t>(host), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
    }
    at += length;
  }
  return Status::Ok();
}

Status Reader::ReadPiece(const SourceFile& file, uint64_t guest, uint64_t host, size_t length, uint8_t* out) {
  if (file.cipher != nullptr) return ReadSealed(file, guest, host, length, out);
  return ReadStored(file, guest, host, length, out);
}

Status Reader::ReadStored(const SourceFile& file, uint64_t guest, uint64_t host, size_t length,
                          uint8_t* out) {
  size_t got = 0;
  Status status = ReadFull(file.fd, file.path, out, length, host, &got);
  if (!status.ok()) return ReadFailed(std::move(status), file.path, guest + got, host + got);
  if (got == length) return Status::Ok();
  memset(out + got, 0, length - got);
  if (options_.short_reads_zero) return Status::Ok();
  // A sector that the file ends in is there as a whole: QEMU counts in sectors.
  if (file.cipher != nullptr) got = (got + kCipherSector - 1) / kCipherSector * kCipherSector;
  return got >= length ? Status::Ok() : EndsEarly(file.path, guest + got, host + got);
}

Status Reader::ReadSealed(const SourceFile& file, uint64_t guest, uint64_t host, size_t length,
                          uint8_t* out) {
  SectorCipher& cipher = ciphers_.Of(file.cipher);
  while (length > 0) {
    const auto position = static_cast<uint64_t>(file.cipher->Position(guest, host));
    const uint64_t sector = position / kCipherSector;
    const auto skip = static_cast<size_t>(position % kCipherSector);
    size_t some = length / kCipherSector * kCipherSector;
    if (skip == 0 && some != 0) {
      BASECOW_TRY(ReadStored(file, guest, host, some, out));
      BASECOW_TRY(cipher.Decrypt(out, out, some, sector));
    } else {
      uint8_t whole[kCipherSector];
      BASECOW_TRY(ReadStored(file, guest, host - skip, sizeof whole, whole));
      BASECOW_TRY(cipher.Decrypt(whole, whole, sizeof whole, sector));
      some = std::min(length, sizeof whole - skip);
      memcpy(out, whole + skip, some);
    }
    guest += some;
    host += some;
    out += some;
    length -= some;
  }
  return Status::Ok();
}

Status Reader::Salvage(const SourceFile& file, uint64_t guest, uint64_t host, size_t length, uint8_t* out,
                       Task& task) {
  if (control_.Cancelled()) return Status::Cancelled();
  Status status = ReadPiece(file, guest, host, length, out);
  if (status.ok()) return status;
  if (length <= kSector) {
    memset(out, 0, length);
    Note(task, guest, length, status);
    return Status::Ok();
  }
  const size_t half = std::max(kSector, length / 2 / kSector * kSector);
  BASECOW_TRY(Salvage(file, guest, host, half, out, task));
  return Salvage(file, guest + half, host + half, length - half, out + half, task);
}

void Reader::Note(Task& task, uint64_t guest, uint64_t length, const Status& why) {
  if (task.unreadable.empty()) task.unreadable_reason = why.message;
  if (!task.unreadable.empty() && task.unreadable.back().start + task.unreadable.back().length == guest) {
    task.unreadable.back().length += length;
  } else {
    task.unreadable.push_back({guest, length});
  }
}

Status Reader::ReadUnit(const Source& source, size_t index, uint64_t from, uint64_t to, uint8_t* out,
                        Task& task) {
  if (control_.Cancelled()) return Status::Cancelled();
  const Row& row = source.rows[index];
  const SourceFile& file = source.files[row.file];
  const bool whole = to - from == row.unit;
  if (task.batch->id != batch_) {
    batch_ = task.batch->id;
    unit_fd_ = input_fd_ = -1;
  }
  const bool kept = unit_fd_ == file.fd && unit_row_.offset == row.offset && unit_row_.kind == row.kind &&
                    unit_row_.unit == row.unit && unit_row_.compressed_length == row.compressed_length;
  const size_t inside = row.skip + static_cast<size_t>(from - row.start);
  if (kept) {
    memcpy(out, unit_.data() + inside, to - from);
    return Status::Ok();
  }
  uint8_t* target = out;
  if (!whole) {
    unit_fd_ = -1;
    if (unit_.size() < row.unit) unit_ = AlignedBuffer(row.unit);
    if (unit_.data() == nullptr) return Status::System(ENOMEM, "malloc", file.path);
    target = unit_.data();
  }
  control_.Pace(row.unit);
  const uint8_t* data = nullptr;
  size_t length = 0;
  Status status = Compressed(source, index, from, &data, &length);
  if (status.ok()) status = Decode(file, row, from, data, length, target);
  if (!status.ok()) {
    if (!options_.salvage || status.err == ECANCELED || status.err == ENOMEM || status.err == ENOTSUP) {
      return status;
    }
    memset(out, 0, to - from);
    Note(task, from, to - from, status);
    return Status::Ok();
  }
  if (!whole) {
    unit_fd_ = file.fd;
    unit_row_ = row;
    memcpy(out, target + inside, to - from);
  }
  return Status::Ok();
}

Status Reader::Compressed(const Source& source, size_t index, uint64_t guest, const uint8_t** data,
                          size_t* length) {
  const Row& row = source.rows[index];
  const SourceFile& file = source.files[row.file];
  const uint64_t end = row.offset + row.compressed_length;
  const bool kept =
      input_fd_ == file.fd && row.offset >= input_offset_ && end <= input_offset_ + input_length_;
  if (!kept) {
    const size_t room = std::max<size_t>(kInput, 2 * size_t{kMaxUnit} + 4096);
    input_fd_ = -1;
    if (input_.data() == nullptr) input_ = AlignedBuffer(room);
    if (input_.data() == nullptr) return Status::System(ENOMEM, "malloc", file.path);
    uint64_t until = end;
    for (size_t i = index + 1; i < source.rows.size(); i++) {
      const Row& next = source.rows[i];
      if (next.kind == Kind::kUnallocated || next.kind == Kind::kZero) continue;
      if (!IsCompressed(next.kind) || next.file != row.file) break;
      const uint64_t next_end = next.offset + next.compressed_length;
      if (next.offset < row.offset || next.offset > until + kSmallGap) break;
      if (std::max(until, next_end) - row.offset > kInput) break;
      until = std::max(until, next_end);
    }
    size_t got = 0;
    Status status = ReadFull(file.fd, file.path, input_.data(), until - row.offset, row.offset, &got);
    if (!status.ok() && until > end) {
      // The bad place may lie in what was only read ahead.
      until = end;
      status = ReadFull(file.fd, file.path, input_.data(), until - row.offset, row.offset, &got);
    }
    if (!status.ok()) return ReadFailed(std::move(status), file.path, guest, row.offset);
    if (options_.drop_cache) {
      posix_fadvise(file.fd, static_cast<off_t>(row.offset), static_cast<off_t>(got), POSIX_FADV_DONTNEED);
    }
    input_fd_ = file.fd;
    input_offset_ = row.offset;
    input_length_ = got;
  }
  const size_t skip = row.offset - input_offset_;
  *data = input_.data() + skip;
  // The last unit's descriptor counts whole sectors, which the file need not have.
  *length = std::min<size_t>(row.compressed_length, input_length_ - skip);
  return Status::Ok();
}

Status Reader::Decode(const SourceFile& file, const Row& row, uint64_t guest, const uint8_t* data,
                      size_t length, uint8_t* out) {
  if (row.kind == Kind::kZstd) {
    BASECOW_TRY(zstd_.Open());
    if (zstd_.Decode(data, length, out, row.unit)) return Status::Ok();
    return Undecodable("zstd", file.path, guest, row.offset);
  }
  if (inflater_.Inflate(data, length, out, row.unit)) return Status::Ok();
  return Undecodable("deflate", file.path, guest, row.offset);
}

}  // namespace basecow
