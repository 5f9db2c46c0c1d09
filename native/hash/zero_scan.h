// Is a piece of memory all zeros? SSE2, AVX2 or AVX-512 picked at run time; returns at the first bytes that
// are not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace basecow {

bool IsZero(const void* data, size_t length);

/// Length in bytes of the leading run of `unit`-sized blocks that are all zero (`*zero` = true) or none of
/// which is all zero (false). The last block may be short. `length` > 0, `unit` > 0.
size_t LeadingRun(const void* data, size_t length, size_t unit, bool* zero);

/// Kernel that IsZero uses on this machine: avx512, avx2, sse2 or portable.
const char* ZeroScanName();

namespace zero_scan {

struct Kernel {
  const char* name;
  /// Shortest length, in bytes, that `scan` may be given.
  size_t least;
  bool (*scan)(const uint8_t* data, size_t length);
};

/// Kernels that this machine can run, best first; the last takes any length. For IsZero and its tests.
const Kernel* Kernels(size_t* count);

}  // namespace zero_scan

}  // namespace basecow
