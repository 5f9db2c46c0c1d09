// Raw deflate (RFC 1951) with matches that reach back less than 4 KiB, made for clusters: where every reader
// of qcow2 has a window of only that size, four recent positions per hash are nearly as good as zlib's chains
// and cost a quarter of the time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/bit_writer.h"

namespace basecow {

/// One per thread; about 80 KiB. The same input always gives the same bytes.
class WindowDeflater {
 public:
  /// Bytes written to `out`; 0 when they would be more than `capacity`. Writes nothing past `capacity`.
  size_t Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  static constexpr size_t kBuckets = 2048;
  // A block ends at whichever comes first.
  static constexpr size_t kBlockSymbols = 1U << 14;
  static constexpr size_t kBlockSequences = 1U << 13;

  struct Match {
    uint32_t length;
    uint32_t distance;
  };
  /// Literals, then a copy; the last of a block has none (length 0).
  struct Sequence {
    uint32_t literals;
    uint16_t length;
    uint16_t distance;
  };

  Match Find(const uint8_t* in, size_t at, size_t end, uint32_t beat);
  void Insert(const uint8_t* in, size_t at);
  /// Sequences of one block, from `at` on; returns where the block ends.
  size_t Parse(const uint8_t* in, size_t at, size_t length);
  /// `in`: where the block begins. False when it does not fit; then nothing of it is written.
  bool WriteBlock(const uint8_t* in, BitWriter& out, bool last);
  void WriteSequences(const uint8_t* in, BitWriter& to, const uint8_t* literal_length,
                      const uint8_t* distance_length) const;

  /// Per hash, the last four places, newest lowest: 4 more bits of the hash, then the position modulo 4 KiB.
  /// One that is older than the window names some other place in it, which is then compared like any other.
  uint64_t buckets_[kBuckets];
  Sequence sequences_[kBlockSequences + 1];
  size_t count_;
  /// Searches in a row that found nothing.
  uint32_t misses_;
  uint32_t literal_frequency_[286];
  uint32_t distance_frequency_[30];
};

}  // namespace basecow
