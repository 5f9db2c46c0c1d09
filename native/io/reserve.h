// Storage for bytes that are about to be written.
#pragma once

#include <atomic>
#include <cstdint>

namespace basecow {

/// A regular file on ext4. Besides what is below: its copy_file_range is a loop of 64 KiB writes inside the
/// kernel, slower than our own threads.
bool OnExt4(int fd);

/// ext4 finds a place for buffered bytes block by block when they are written and again when they go to disk;
/// one fallocate just before a large write spares the first: a fifth of the whole time of a copy
/// (docs/performance-conversion.md). On other filesystems, block devices and files without extents it does
/// nothing. From any thread.
class StorageReserve {
 public:
  explicit StorageReserve(int fd);

  /// [offset, + length) is written next, all of it: no storage stays that the bytes would not have got
  /// anyway. A failure is left to the write to find out.
  void Before(uint64_t offset, uint64_t length) {
    if (length >= kLeast && useful_.load(std::memory_order_relaxed)) Reserve(offset, length);
  }

 private:
  /// Bytes; below it the call costs more than it spares.
  static constexpr uint64_t kLeast = 256U << 10;

  void Reserve(uint64_t offset, uint64_t length);

  const int fd_;
  std::atomic<bool> useful_;
};

}  // namespace basecow
