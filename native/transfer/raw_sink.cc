#include "transfer/raw_sink.h"

#include <cstring>

#include "hash/zero_scan.h"
#include "transfer/messages.h"
#include "transfer/worker.h"
#include "transfer/zeros.h"

namespace basecow {

namespace {

/// Bytes zeroed between two looks at a failure of the job elsewhere.
constexpr uint64_t kZeroPiece = 64U << 20;
constexpr uint64_t kZeroTask = 1U << 30;
/// Holes smaller than this save nothing on any filesystem.
constexpr uint64_t kScanBlock = 4096;
constexpr uint64_t kSector = 512;
/// FICLONERANGE takes whole filesystem blocks.
constexpr uint64_t kCloneBlock = 4096;
/// Encrypted and written in one go: it stays in the cache between the two.
constexpr size_t kSealedPiece = 256U << 10;

}  // namespace

Status ValidateRaw(const RawOptions& options) {
  if (options.detect_zeros % kSector != 0) return InvalidPlan("detectZeros must be a multiple of 512");
  if (options.cipher != nullptr && options.zeros == ZeroPolicy::kPunch) {
    return InvalidPlan("a hole in an encrypted file does not read as zeros");
  }
  return Status::Ok();
}

RawSink::RawSink(RawOptions options)
    : options_(std::move(options)),
      way_(options_.offload && options_.detect_zeros == 0 && options_.cipher == nullptr &&
                   !OnExt4(options_.fd)
               ? Way::kClone
               : Way::kReadWrite),
      storage_(options_.fd) {}

bool RawSink::Skips(const Row* row) const {
  return row == nullptr || (ReadsAsZeros(row->kind) && options_.zeros == ZeroPolicy::kSkip);
}

uint64_t RawSink::ZeroRun() const {
  return kZeroTask;
}

Status RawSink::Check(const Batch& batch) {
  if (batch.end > kMaxOffset - options_.shift) return InvalidPlan("target range beyond 2^53");
  if (options_.cipher == nullptr) return Status::Ok();
  bool reached = batch.has_placement || options_.cipher->Reaches(batch.start, batch.start + options_.shift);
  for (const Placed& placed : batch.placement) {
    reached = reached && options_.cipher->Reaches(placed.start, placed.offset);
  }
  return reached ? Status::Ok() : InvalidPlan("a place before the first encrypted sector");
}

template <class Put>
Status RawSink::Where(const Task& task, uint64_t from, uint64_t to, Put&& put) const {
  if (!task.batch->has_placement) return put(from + options_.shift, from, to);
  const std::vector<Placed>& placement = task.batch->placement;
  return ForEachPart(placement, FirstAt(placement, from), from, to,
                     [&](const Placed* placed, uint64_t begin, uint64_t end) {
                       if (placed != nullptr)
                         return put(placed->offset + (begin - placed->start), begin, end);
                       return put(UINT64_MAX, begin, end);
                     });
}

Status RawSink::Process(Worker& worker, Task& task) {
  const Source& source = task.batch->source;
  uint8_t* buffer = nullptr;
  uint64_t run = 0;
  uint64_t run_end = 0;
  // Data that was read and is not written yet: [run, run_end).
  const auto flush = [&]() {
    Status status =
        run_end == run ? Status::Ok() : PutData(worker, task, run, run_end, buffer + (run - task.start));
    run = run_end = 0;
    return status;
  };
  BASECOW_TRY(ForEachPart(
      source.rows, task.row, task.start, task.end, [&](const Row* row, uint64_t from, uint64_t to) {
        if (worker.Cancelled()) return Status::Cancelled();
        if (row == nullptr || ReadsAsZeros(row->kind)) {
          BASECOW_TRY(flush());
          if (row == nullptr || options_.zeros == ZeroPolicy::kSkip) return Status::Ok();
          return PutZeros(worker, task, from, to);
        }
        uint64_t begin = from;
        if (row->kind == Kind::kData && source.files[row->file].cipher == nullptr &&
            way_.load(std::memory_order_relaxed) != Way::kReadWrite) {
          BASECOW_TRY(flush());
          uint64_t done = 0;
          BASECOW_TRY(Offload(worker, task, source.files[row->file], *row, from, to, &done));
          begin += done;
          if (begin == to) return Status::Ok();
        }
        if (buffer == nullptr) buffer = worker.Main();
        if (buffer == nullptr) return Status::System(ENOMEM, "malloc", options_.path);
        if (run_end != begin) {
          BASECOW_TRY(flush());
          run = begin;
        }
        const auto index = static_cast<size_t>(row - source.rows.data());
        BASECOW_TRY(worker.reader.Read(source, index, begin, to, buffer + (begin - task.start), task));
        run_end = to;
        return Status::Ok();
      }));
  return flush();
}

Status RawSink::Leave(Worker& worker) {
  worker.drop.Flush();
  return Status::Ok();
}

Status RawSink::PutData(Worker& worker, Task& task, uint64_t from, uint64_t to, const uint8_t* data) {
  const auto write = [&](uint64_t begin, uint64_t end) {
    if (begin == end) return Status::Ok();
    return Where(task, begin, end, [&](uint64_t host, uint64_t piece, uint64_t stop) {
      return Write(worker, task, host, piece, data + (piece - from), static_cast<size_t>(stop - piece));
    });
  };
  if (options_.detect_zeros == 0) return write(from, to);

  // A run of zeros is cut where the data is cut: a whole piece of zeros always counts.
  const uint64_t least = std::min(options_.detect_zeros, to - from);
  const uint64_t block = options_.detect_zeros % kScanBlock == 0 ? kScanBlock : kSector;
  uint64_t unwritten = from;
  for (uint64_t at = from; at < to;) {
    uint64_t stop = at;
    while (stop < to) {
      const uint64_t next = std::min(to, (stop / block + 1) * block);
      if (!IsZero(data + (stop - from), static_cast<size_t>(next - stop))) break;
      stop = next;
    }
    if (stop - at >= least) {
      BASECOW_TRY(write(unwritten, at));
      if (options_.zeros != ZeroPolicy::kSkip) BASECOW_TRY(PutZeros(worker, task, at, stop));
      unwritten = stop;
    }
    at = stop == to ? to : std::min(to, (stop / block + 1) * block);
  }
  return write(unwritten, to);
}

Status RawSink::PutZeros(Worker& worker, Task& task, uint64_t from, uint64_t to) {
  return Where(task, from, to, [&](uint64_t host, uint64_t piece, uint64_t stop) {
    // Zeros that have no place need none.
    if (host == UINT64_MAX) return Status::Ok();
    return Zero(worker, task, host, piece, stop - piece);
  });
}

Status RawSink::Write(Worker& worker, Task& task, uint64_t host, uint64_t guest, const uint8_t* data,
                      size_t length) {
  if (host == UINT64_MAX) return InvalidPlan("no place for the data at guest byte " + std::to_string(guest));
  BASECOW_TRY(Store(worker, host, guest, data, length));
  task.written += length;
  if (options_.drop_cache) worker.drop.Wrote(options_.fd, host, length);
  return Status::Ok();
}

Status RawSink::Store(Worker& worker, uint64_t host, uint64_t guest, const uint8_t* data, size_t length) {
  storage_.Before(host, length);
  Status status = options_.cipher == nullptr ? WriteFull(options_.fd, options_.path, data, length, host)
                                             : StoreSealed(worker, host, guest, data, length);
  return status.ok() ? Status::Ok() : WriteFailed(std::move(status), options_.path, guest, host);
}

Status RawSink::StoreSealed(Worker& worker, uint64_t host, uint64_t guest, const uint8_t* data,
                            size_t length) {
  SectorCipher& cipher = worker.ciphers.Of(options_.cipher);
  uint8_t* const sealed = worker.Second();
  if (sealed == nullptr) return Status::System(ENOMEM, "malloc", options_.path);
  while (length > 0) {
    const auto position = static_cast<uint64_t>(options_.cipher->Position(guest, host));
    const uint64_t sector = position / kCipherSector;
    const auto skip = static_cast<size_t>(position % kCipherSector);
    size_t some = std::min({length, kSealedPiece, worker.segment()}) / kCipherSector * kCipherSector;
    if (skip == 0 && some != 0) {
      BASECOW_TRY(cipher.Encrypt(data, sealed, some, sector));
      BASECOW_TRY(WriteFull(options_.fd, options_.path, sealed, some, host));
    } else {
      some = std::min<size_t>(length, kCipherSector - skip);
      BASECOW_TRY(Merge(cipher, host - skip, sector, skip, data, some));
    }
    guest += some;
    host += some;
    data += some;
    length -= some;
  }
  return Status::Ok();
}

Status RawSink::Merge(SectorCipher& cipher, uint64_t host, uint64_t sector, size_t skip, const uint8_t* data,
                      size_t length) {
  uint8_t whole[kCipherSector] = {};
  size_t got = 0;
  const std::lock_guard lock(merging_);
  BASECOW_TRY(ReadFull(options_.fd, options_.path, whole, sizeof whole, host, &got));
  BASECOW_TRY(cipher.Decrypt(whole, whole, sizeof whole, sector));
  memcpy(whole + skip, data, length);
  BASECOW_TRY(cipher.Encrypt(whole, whole, sizeof whole, sector));
  return WriteFull(options_.fd, options_.path, whole, sizeof whole, host);
}

Status RawSink::Zero(Worker& worker, Task& task, uint64_t host, uint64_t guest, uint64_t length) {
  const bool punch = options_.zeros == ZeroPolicy::kPunch;
  const uint64_t piece = punch ? kZeroPiece : kZeroBlock;
  for (uint64_t done = 0; done < length;) {
    if (worker.Cancelled()) return Status::Cancelled();
    const uint64_t step = std::min(length - done, piece);
    uint64_t written = 0;
    if (punch) {
      Status status = ZeroRange(options_.fd, options_.path, host + done, step, worker.control(), &written);
      if (!status.ok()) return WriteFailed(std::move(status), options_.path, guest + done, host + done);
    } else {
      BASECOW_TRY(Store(worker, host + done, guest + done, kZeros, static_cast<size_t>(step)));
      written = step;
    }
    task.written += written;
    if (options_.drop_cache && written != 0) worker.drop.Wrote(options_.fd, host + done, step);
    done += step;
  }
  return Status::Ok();
}

Status RawSink::Offload(Worker& worker, Task& task, const SourceFile& file, const Row& row, uint64_t from,
                        uint64_t to, uint64_t* done) {
  bool more = true;
  return Where(task, from, to, [&](uint64_t host, uint64_t begin, uint64_t end) {
    if (!more) return Status::Ok();
    if (host == UINT64_MAX)
      return InvalidPlan("no place for the data at guest byte " + std::to_string(begin));
    const uint64_t source = row.offset + (begin - row.start);
    const uint64_t length = end - begin;
    uint64_t copied = 0;
    bool supported = false;
    if (way_.load(std::memory_order_relaxed) == Way::kClone && (source | host | length) % kCloneBlock == 0) {
      Status status = CloneRange(file.fd, source, options_.fd, options_.path, host, length, &supported);
      if (!status.ok() || !supported) {
        way_.store(Way::kCopyRange, std::memory_order_relaxed);
      } else {
        copied = length;
      }
    }
    if (copied == 0) {
      worker.control().Pace(length);
      Status status = CopyRange(file.fd, file.path, source, options_.fd, options_.path, host, length, &copied,
                                &supported);
      // Which side failed is found out by reading and writing.
      if (!status.ok() && status.err != EIO) {
        return WriteFailed(std::move(status), options_.path, begin + copied, host + copied);
      }
      if (status.ok() && !supported) way_.store(Way::kReadWrite, std::memory_order_relaxed);
    }
    task.written += copied;
    *done += copied;
    more = copied == length;
    if (options_.drop_cache) worker.drop.Wrote(options_.fd, host, copied);
    return Status::Ok();
  });
}

}  // namespace basecow
