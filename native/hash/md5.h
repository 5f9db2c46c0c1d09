// MD5 (RFC 1321): one stream, or two at once over the same bytes (whole file and chunk in one pass). For
// more, see md5_many.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hash/md5_kernels.h"

namespace basecow {

inline constexpr size_t kMd5Bytes = 16;
inline constexpr size_t kMd5Block = 64;

class Md5 {
 public:
  explicit Md5(const Md5Kernels& kernels = PickMd5Kernels()) : kernels_(&kernels) { Reset(); }
  void Reset();
  void Update(const void* data, size_t length);
  /// Writes the digest and resets.
  void Final(uint8_t digest[kMd5Bytes]);

 private:
  friend struct Md5Access;
  const Md5Kernels* kernels_;
  uint32_t state_[4];
  /// Bytes hashed so far; length_ % 64 of them wait in pending_.
  uint64_t length_;
  uint8_t pending_[kMd5Block];
};

/// Two digests over the same bytes at nearly the price of one, each with a start of its own: `first` runs on,
/// `second` can be taken and restarted at any byte (chunk ends). Fast when the two are block-aligned to each
/// other.
class Md5Pair {
 public:
  explicit Md5Pair(const Md5Kernels& kernels = PickMd5Kernels()) : first_(kernels), second_(kernels) {}
  void Update(const void* data, size_t length);
  void FinalFirst(uint8_t digest[kMd5Bytes]) { first_.Final(digest); }
  void FinalSecond(uint8_t digest[kMd5Bytes]) { second_.Final(digest); }

 private:
  Md5 first_;
  Md5 second_;
};

}  // namespace basecow
