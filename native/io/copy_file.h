// Sparse copy of a whole file or block device by the cheapest way that works.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "io/status.h"
#include "transfer/control.h"

namespace basecow {

enum class Reflink { kAuto, kAlways, kNever };

struct CopyFileOptions {
  Reflink reflink = Reflink::kAuto;
  /// Runs of at least this many zero bytes (multiple of 512, at most kMaxDetectZeros) inside data become
  /// holes; 0 = copy data as it is, which the kernel can do by itself.
  size_t detect_zeros = 0;
  /// Size of a regular target in the end, bytes, not below the source's; kSourceSize = the same. A block
  /// device keeps its size, and what lies behind the copied bytes.
  uint64_t size = kSourceSize;
  /// 1 to 16.
  unsigned threads = 1;
  /// The target reads as zeros (fresh or truncated), so nothing is done about holes.
  bool target_is_zero = false;

  static constexpr uint64_t kSourceSize = UINT64_MAX;
  static constexpr size_t kMaxDetectZeros = size_t{16} << 20;
};

/// A descriptor and its name in messages.
struct NamedFd {
  int fd;
  std::string path;
};

enum class CopyMethod { kReflink, kCopyFileRange, kReadWrite };

struct CopyFileResult {
  CopyMethod method = CopyMethod::kReadWrite;
  /// Bytes of data moved, holes and found zeros not counted; 0 for a reflink.
  uint64_t copied = 0;
};

/// Order: FICLONE, copy_file_range for each data run (not on ext4, where the next is faster), read and write.
/// Holes are found by SEEK_DATA. Progress counts the source's bytes; the total is set when it was 0. Holds
/// threads * max(1 MiB, detect_zeros) bytes.
///
/// Fails with EINVAL when the two are the same file or `size` is below the source's, ENOSPC when a block
/// device is too small, BASECOW_SHRANK when the source becomes shorter meanwhile, ECANCELED.
Status CopyFile(const NamedFd& source, const NamedFd& target, const CopyFileOptions& options,
                const Control& control, CopyFileResult* result);

}  // namespace basecow
