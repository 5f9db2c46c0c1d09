// Whole positioned reads and writes on descriptors, and the range operations a sparse copy is made of.
// `path` is used in error messages only. Offsets and lengths are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io/status.h"
#include "transfer/control.h"

namespace basecow {

/// Reads until `length` bytes are in or the file ends; `*got` < `length` means end of file.
Status ReadFull(int fd, std::string_view path, void* buffer, size_t length, uint64_t offset, size_t* got);

/// Writes all of it. A write that makes no progress is ENOSPC.
Status WriteFull(int fd, std::string_view path, const void* buffer, size_t length, uint64_t offset);

/// FALLOC_FL_PUNCH_HOLE|KEEP_SIZE. `*supported` = false (and Ok) when the file or device cannot do it.
Status PunchHole(int fd, std::string_view path, uint64_t offset, uint64_t length, bool* supported);

/// Makes the range read as zeros: punch, FALLOC_FL_ZERO_RANGE (block devices: BLKZEROOUT inside the kernel),
/// else writes. `*written` += bytes that had to be written by us. A cancel answers between pieces, with the
/// range zeroed in part; progress is the caller's.
Status ZeroRange(int fd, std::string_view path, uint64_t offset, uint64_t length, const Control& control,
                 uint64_t* written);

/// copy_file_range until `length` bytes are copied or the source ends (`*copied` says how far it came).
/// `*supported` = false (and Ok) when the pair of files cannot do it (EXDEV, EINVAL, EOPNOTSUPP, ENOSYS ...):
/// go on from `*copied` with read and write. Call with bounded slices when cancel must answer quickly.
Status CopyRange(int in, std::string_view in_path, uint64_t in_offset, int out, std::string_view out_path,
                 uint64_t out_offset, uint64_t length, uint64_t* copied, bool* supported);

/// FICLONERANGE; `*supported` = false (and Ok) when it cannot be done (other filesystem, unaligned, no
/// reflinks).
Status CloneRange(int in, uint64_t in_offset, int out, std::string_view out_path, uint64_t out_offset,
                  uint64_t length, bool* supported);

/// Page-aligned memory that is not zeroed. data() is nullptr when there is no memory.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  [[nodiscard]] uint8_t* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr size_t kAlignment = 4096;

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;
};

/// Closes its descriptor at the end of the scope.
class OwnedFd {
 public:
  explicit OwnedFd(int fd = -1) : fd_(fd) {}
  ~OwnedFd() { Reset(); }
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.Release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int Release();
  void Reset();

 private:
  int fd_;
};

}  // namespace basecow
