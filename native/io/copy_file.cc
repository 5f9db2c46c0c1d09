#include "io/copy_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "hash/zero_scan.h"
#include "io/data_runs.h"
#include "io/file_io.h"
#include "io/reserve.h"
#include "io/thread.h"

namespace basecow {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
// A cancel is seen between pieces: small enough for 50 ms on a slow disk.
constexpr uint64_t kOffloadPiece = uint64_t{4} << 20;
constexpr uint64_t kPunchPiece = uint64_t{1} << 30;
constexpr uint64_t kDeviceZeroPiece = uint64_t{32} << 20;
// Zeros are looked for at this grain, or at the threshold when that is finer.
constexpr size_t kZeroGrain = 4096;

std::string Bytes(uint64_t count) {
  return std::to_string(count) + " bytes";
}

struct Piece {
  uint64_t start;
  uint64_t end;
  bool data;
};

class Copy {
 public:
  Copy(const NamedFd& source, const NamedFd& target, const CopyFileOptions& options, const Control& control)
      : source_(source), target_(target), options_(options), control_(control), storage_(target.fd) {}

  Status Run(CopyFileResult* result) {
    BASECOW_TRY(Measure());
    BASECOW_TRY(CheckSizes());
    control_.SetTotalIfUnknown(source_size_);
    if (control_.Cancelled()) return Status::Cancelled();
    if (options_.reflink == Reflink::kAlways ||
        (options_.reflink == Reflink::kAuto && options_.detect_zeros == 0)) {
      bool done = false;
      BASECOW_TRY(TryReflink(&done));
      if (done) {
        result->method = CopyMethod::kReflink;
        return Status::Ok();
      }
    }
    if (!target_device_) BASECOW_TRY(SetTargetSize());
    BASECOW_TRY(CopyRuns());
    BASECOW_TRY(CheckNotShrunk());
    result->method = offload_.load() ? CopyMethod::kCopyFileRange : CopyMethod::kReadWrite;
    result->copied = copied_.load();
    return Status::Ok();
  }

 private:
  Status Measure() {
    struct stat from {};
    struct stat to {};
    if (fstat(source_.fd, &from) < 0) return Status::System(errno, "fstat", source_.path);
    if (fstat(target_.fd, &to) < 0) return Status::System(errno, "fstat", target_.path);
    if (!S_ISREG(from.st_mode) && !S_ISBLK(from.st_mode)) {
      return Status::System(EINVAL, "copy", source_.path, "neither a regular file nor a block device");
    }
    if (!S_ISREG(to.st_mode) && !S_ISBLK(to.st_mode)) {
      return Status::System(EINVAL, "copy", target_.path, "neither a regular file nor a block device");
    }
    target_device_ = S_ISBLK(to.st_mode);
    regular_pair_ = S_ISREG(from.st_mode) && !target_device_;
    const bool same = S_ISBLK(from.st_mode) ? target_device_ && from.st_rdev == to.st_rdev
                                            : from.st_dev == to.st_dev && from.st_ino == to.st_ino;
    if (same) return Status::System(EINVAL, "copy", target_.path, "is the source itself");
    BASECOW_TRY(SizeOf(source_.fd, source_.path, &source_size_));
    return SizeOf(target_.fd, target_.path, &target_size_);
  }

  Status CheckSizes() {
    if (target_device_) {
      if (target_size_ >= source_size_) return Status::Ok();
      return Status::System(
          ENOSPC, "write", target_.path,
          "the device holds " + Bytes(target_size_) + ", the source has " + Bytes(source_size_));
    }
    final_size_ = options_.size == CopyFileOptions::kSourceSize ? source_size_ : options_.size;
    if (final_size_ >= source_size_) return Status::Ok();
    return Status::System(EINVAL, "ftruncate", target_.path,
                          "size " + Bytes(final_size_) + " is below the source's " + Bytes(source_size_));
  }

  Status TryReflink(bool* done) {
    const bool must = options_.reflink == Reflink::kAlways;
    int err = Clone();
    if (err == EINVAL && must && regular_pair_ && target_size_ > source_size_) {
      // A source that ends inside a block can only be cloned up to the end of the target.
      BASECOW_TRY(Truncate(source_size_));
      err = Clone();
    }
    if (err != 0) return must ? Status::System(err, "ioctl(FICLONE)", target_.path) : Status::Ok();
    *done = true;
    BASECOW_TRY(SetTargetSize());
    control_.Advance(source_size_);
    return CheckNotShrunk();
  }

  /// errno of FICLONE.
  int Clone() {
    if (!regular_pair_) return EINVAL;
    int result;
    do {
      result = ioctl(target_.fd, FICLONE, source_.fd);
    } while (result < 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
  }

  /// Old bytes behind the source's end are gone, new ones read as zeros.
  Status SetTargetSize() {
    if (target_size_ > source_size_ && !options_.target_is_zero) BASECOW_TRY(Truncate(source_size_));
    return Truncate(final_size_);
  }

  Status Truncate(uint64_t size) {
    int result;
    do {
      result = ftruncate(target_.fd, static_cast<off_t>(size));
    } while (result < 0 && errno == EINTR);
    return result == 0 ? Status::Ok() : Status::System(errno, "ftruncate", target_.path, "to " + Bytes(size));
  }

  Status CopyRuns() {
    posix_fadvise(source_.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    offload_.store(options_.detect_zeros == 0 && !OnExt4(target_.fd));
    // Others' errands come after this one on the calling thread, so a priority goes to threads of our own.
    const size_t first = control_.HasPriority() ? 0 : 1;
    std::vector<Thread> helpers(std::clamp(options_.threads, 1U, 16U) - first);
    for (size_t i = 0; i < helpers.size(); i++) {
      Status started = helpers[i].Start("basecow-copy", [this, number = first + i] {
        control_.Prioritize();
        Work(number);
      });
      if (started.ok()) continue;
      // With fewer threads than asked for it only takes longer.
      if (first + i == 0) return started;
      break;
    }
    if (first == 1) Work(0);
    for (Thread& helper : helpers) helper.Join();
    return std::move(status_);
  }

  /// `number`: the thread's, from 0.
  void Work(size_t number) {
    AlignedBuffer buffer;
    Piece piece{};
    while (AwaitTurn(number) && Next(&piece)) {
      Status status = piece.data ? CopyData(piece, &buffer) : Hole(piece.start, piece.end);
      if (!status.ok()) {
        Fail(std::move(status));
        return;
      }
      control_.Advance(piece.end - piece.start);
    }
  }

  /// Waits while the job may not use so many threads. False when there is nothing left to do.
  bool AwaitTurn(size_t number) {
    while (!control_.Admits(number)) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!status_.ok() || at_ >= source_size_ || control_.Cancelled()) return false;
      }
      const timespec pause{0, 10'000'000};
      nanosleep(&pause, nullptr);
    }
    return true;
  }

  void Fail(Status status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
  }

  /// Hands out the source from front to back; false at the end, after a failure of anybody and after a
  /// cancel.
  bool Next(Piece* piece) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!status_.ok() || at_ >= source_size_) return false;
    if (control_.Cancelled()) {
      status_ = Status::Cancelled();
      return false;
    }
    if (at_ >= run_.end) {
      bool found = false;
      status_ = NextDataRun(source_.fd, source_.path, at_, source_size_, &run_, &found);
      if (!status_.ok()) return false;
      if (!found) run_ = {source_size_, source_size_};
    }
    if (at_ < run_.start) {
      uint64_t most = target_device_ ? kDeviceZeroPiece : kPunchPiece;
      if (options_.target_is_zero) most = UINT64_MAX;
      *piece = {at_, std::min(run_.start, at_ + std::min(most, run_.start - at_)), false};
    } else {
      // Ends on multiples of the piece size, so that the zero scan's grain is the same wherever a run starts.
      const uint64_t most = offload_.load() ? control_.Portion(kOffloadPiece) : BufferBytes();
      *piece = {at_, std::min(run_.end, (at_ / most + 1) * most), true};
    }
    at_ = piece->end;
    return true;
  }

  [[nodiscard]] size_t BufferBytes() const {
    // Longer runs of zeros are found or not by where pieces end: that must not depend on a rate.
    const bool any = options_.detect_zeros <= kZeroGrain;
    return std::max(any ? control_.Portion(kBufferBytes) : kBufferBytes,
                    (options_.detect_zeros + kZeroGrain - 1) / kZeroGrain * kZeroGrain);
  }

  Status Hole(uint64_t start, uint64_t end) {
    if (options_.target_is_zero) return Status::Ok();
    uint64_t written = 0;
    return ZeroRange(target_.fd, target_.path, start, end - start, control_, &written);
  }

  Status CopyData(const Piece& piece, AlignedBuffer* buffer) {
    uint64_t at = piece.start;
    control_.Pace(piece.end - piece.start);
    if (offload_.load()) {
      uint64_t copied = 0;
      bool supported = false;
      BASECOW_TRY(CopyRange(source_.fd, source_.path, at, target_.fd, target_.path, at, piece.end - at,
                            &copied, &supported));
      if (!supported) offload_.store(false);
      at += copied;
      copied_.fetch_add(copied);
    }
    while (at < piece.end) {
      if (control_.Cancelled()) return Status::Cancelled();
      if (buffer->data() == nullptr) *buffer = AlignedBuffer(BufferBytes());
      if (buffer->data() == nullptr) return Status::System(ENOMEM, "read", source_.path);
      const auto length = static_cast<size_t>(std::min<uint64_t>(piece.end - at, buffer->size()));
      size_t got = 0;
      BASECOW_TRY(ReadFull(source_.fd, source_.path, buffer->data(), length, at, &got));
      if (got < length) return Shrank(at + got);
      BASECOW_TRY(Store(buffer->data(), length, at));
      at += length;
    }
    return Status::Ok();
  }

  Status Store(const uint8_t* data, size_t length, uint64_t offset) {
    if (options_.detect_zeros == 0) return Write(data, length, offset);
    const size_t grain = std::min(options_.detect_zeros, kZeroGrain);
    size_t pending = 0;  // first byte not yet written
    for (size_t at = 0; at < length;) {
      bool zero = false;
      const size_t run = LeadingRun(data + at, length - at, grain, &zero);
      // What is left of a run at the end of a piece, shorter than the threshold, is written: the output does
      // not depend on what the next piece holds. The file's last bytes may be any number.
      if (zero && (run >= options_.detect_zeros || offset + at + run == source_size_)) {
        BASECOW_TRY(Write(data + pending, at - pending, offset + pending));
        BASECOW_TRY(Hole(offset + at, offset + at + run));
        pending = at + run;
      }
      at += run;
    }
    return Write(data + pending, length - pending, offset + pending);
  }

  Status Write(const uint8_t* data, size_t length, uint64_t offset) {
    if (length == 0) return Status::Ok();
    storage_.Before(offset, length);
    BASECOW_TRY(WriteFull(target_.fd, target_.path, data, length, offset));
    copied_.fetch_add(length);
    return Status::Ok();
  }

  Status CheckNotShrunk() {
    uint64_t now = 0;
    BASECOW_TRY(SizeOf(source_.fd, source_.path, &now));
    return now < source_size_ ? Shrank(now) : Status::Ok();
  }

  [[nodiscard]] Status Shrank(uint64_t left) const {
    return Status::Coded(kCodeShrank,
                         "'" + source_.path + "' shrank while it was copied: " + Bytes(left) +
                             " are left of " + Bytes(source_size_),
                         source_.path);
  }

  const NamedFd& source_;
  const NamedFd& target_;
  const CopyFileOptions& options_;
  const Control& control_;
  StorageReserve storage_;

  bool target_device_ = false;
  bool regular_pair_ = false;
  uint64_t source_size_ = 0;
  uint64_t target_size_ = 0;
  uint64_t final_size_ = 0;

  std::atomic<bool> offload_{true};
  std::atomic<uint64_t> copied_{0};

  std::mutex mutex_;
  Status status_;
  uint64_t at_ = 0;
  DataRun run_{0, 0};
};

}  // namespace

Status CopyFile(const NamedFd& source, const NamedFd& target, const CopyFileOptions& options,
                const Control& control, CopyFileResult* result) {
  return Copy(source, target, options, control).Run(result);
}

}  // namespace basecow
