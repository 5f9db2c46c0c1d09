#include "io/file_io.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace basecow {

namespace {

/// Largest count that one read, write or copy_file_range is asked for (the kernel's own limit is just below 2
/// GiB).
constexpr size_t kCallBytes = size_t{1} << 30;

bool Unsupported(int err) {
  switch (err) {
    case EOPNOTSUPP:
    case ENOSYS:
    case EINVAL:
    case ENOTTY:
    case ENODEV:
    case EXDEV:
    case EPERM:    // sealed or swap files, seccomp filters of containers
    case ETXTBSY:  // copy_file_range to a swap file
    case EBADF:    // copy_file_range across some filesystems' flags (append-only target)
      return true;
    default:
      return false;
  }
}

}  // namespace

Status ReadFull(int fd, std::string_view path, void* buffer, size_t length, uint64_t offset, size_t* got) {
  auto* to = static_cast<uint8_t*>(buffer);
  *got = 0;
  while (*got < length) {
    const ssize_t count =
        pread(fd, to + *got, std::min(length - *got, kCallBytes), static_cast<off_t>(offset + *got));
    if (count < 0) {
      if (errno == EINTR) continue;
      return Status::System(errno, "read", path, "at byte " + std::to_string(offset + *got));
    }
    if (count == 0) break;
    *got += static_cast<size_t>(count);
  }
  return Status::Ok();
}

Status WriteFull(int fd, std::string_view path, const void* buffer, size_t length, uint64_t offset) {
  const auto* from = static_cast<const uint8_t*>(buffer);
  size_t done = 0;
  while (done < length) {
    const ssize_t count =
        pwrite(fd, from + done, std::min(length - done, kCallBytes), static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int err = count < 0 ? errno : ENOSPC;
      return Status::System(err, "write", path, "at byte " + std::to_string(offset + done));
    }
    done += static_cast<size_t>(count);
  }
  return Status::Ok();
}

namespace {

/// fallocate; `*supported` = false and Ok when the file cannot do `mode`.
Status Fallocate(int fd, std::string_view path, int mode, uint64_t offset, uint64_t length, bool* supported) {
  *supported = true;
  if (length == 0) return Status::Ok();
  int result;
  do {
    result = fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result < 0 && errno == EINTR);
  if (result == 0) return Status::Ok();
  if (Unsupported(errno) && errno != EBADF) {
    *supported = false;
    return Status::Ok();
  }
  return Status::System(errno, "fallocate", path);
}

}  // namespace

Status PunchHole(int fd, std::string_view path, uint64_t offset, uint64_t length, bool* supported) {
  return Fallocate(fd, path, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, supported);
}

namespace {

/// Zeroed between two looks at the cancel flag. Holes are cheap; a device may have to write.
constexpr uint64_t kPunchPiece = uint64_t{1} << 30;
constexpr uint64_t kDevicePiece = uint64_t{32} << 20;
constexpr uint64_t kWritePiece = uint64_t{1} << 18;

enum class ZeroWay { kPunch, kZero, kDevice, kWrite };

uint64_t ZeroPiece(ZeroWay way, bool device) {
  if (way == ZeroWay::kWrite) return kWritePiece;
  return device || way == ZeroWay::kDevice ? kDevicePiece : kPunchPiece;
}

}  // namespace

Status ZeroRange(int fd, std::string_view path, uint64_t offset, uint64_t length, const Control& control,
                 uint64_t* written) {
  struct stat stat {};
  const bool device = fstat(fd, &stat) == 0 && S_ISBLK(stat.st_mode);
  AlignedBuffer zeros;
  auto way = ZeroWay::kPunch;
  for (uint64_t done = 0; done < length;) {
    if (control.Cancelled()) return Status::Cancelled();
    const uint64_t at = offset + done;
    const uint64_t piece = std::min(length - done, ZeroPiece(way, device));
    bool supported = true;
    if (way == ZeroWay::kPunch) {
      // Bytes past the end of a regular file are not created by a punch; KEEP_SIZE is right because a caller
      // that wants them sets the file's size itself.
      BASECOW_TRY(PunchHole(fd, path, at, piece, &supported));
    } else if (way == ZeroWay::kZero) {
      BASECOW_TRY(Fallocate(fd, path, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at, piece, &supported));
    } else if (way == ZeroWay::kDevice) {
      uint64_t range[2] = {at, piece};
      supported = ioctl(fd, BLKZEROOUT, range) == 0;
    } else {
      if (zeros.data() == nullptr) {
        zeros = AlignedBuffer(static_cast<size_t>(piece));
        if (zeros.data() == nullptr) return Status::System(ENOMEM, "write", path);
        std::fill_n(zeros.data(), zeros.size(), uint8_t{0});
      }
      BASECOW_TRY(WriteFull(fd, path, zeros.data(), static_cast<size_t>(piece), at));
      *written += piece;
    }
    if (supported) {
      done += piece;
    } else {
      way = static_cast<ZeroWay>(static_cast<int>(way) + 1);
    }
  }
  return Status::Ok();
}

Status CopyRange(int in, std::string_view in_path, uint64_t in_offset, int out, std::string_view out_path,
                 uint64_t out_offset, uint64_t length, uint64_t* copied, bool* supported) {
  *copied = 0;
  *supported = true;
  while (*copied < length) {
    auto from = static_cast<off64_t>(in_offset + *copied);
    auto to = static_cast<off64_t>(out_offset + *copied);
    const auto piece = static_cast<size_t>(std::min<uint64_t>(length - *copied, kCallBytes));
    const ssize_t count = copy_file_range(in, &from, out, &to, piece, 0);
    if (count > 0) {
      *copied += static_cast<uint64_t>(count);
      continue;
    }
    if (count == 0) break;
    if (errno == EINTR) continue;
    if (Unsupported(errno)) {
      *supported = false;
      return Status::Ok();
    }
    std::string detail = "from '";
    detail.append(in_path).append("' at byte ").append(std::to_string(in_offset + *copied));
    return Status::System(errno, "copy_file_range", out_path, detail);
  }
  return Status::Ok();
}

Status CloneRange(int in, uint64_t in_offset, int out, std::string_view out_path, uint64_t out_offset,
                  uint64_t length, bool* supported) {
  *supported = true;
  file_clone_range range{};
  range.src_fd = in;
  range.src_offset = in_offset;
  range.src_length = length;
  range.dest_offset = out_offset;
  int result;
  do {
    result = ioctl(out, FICLONERANGE, &range);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return Status::Ok();
  if (Unsupported(errno)) {
    *supported = false;
    return Status::Ok();
  }
  return Status::System(errno, "ioctl(FICLONERANGE)", out_path);
}

AlignedBuffer::AlignedBuffer(size_t size) {
  const size_t rounded = (std::max<size_t>(size, 1) + kAlignment - 1) / kAlignment * kAlignment;
#ifdef __SANITIZE_ADDRESS__
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, rounded) != 0) return;
#else
  void* memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
#endif
  data_ = static_cast<uint8_t*>(memory);
  size_ = size;
  mapped_ = rounded;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
#ifdef __SANITIZE_ADDRESS__
  free(data_);
#else
  munmap(data_, mapped_);
#endif
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = other.Release();
  }
  return *this;
}

int OwnedFd::Release() {
  return std::exchange(fd_, -1);
}

void OwnedFd::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace basecow
