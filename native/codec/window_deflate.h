// Raw deflate (RFC 1951) with matches that reach back less than 4 KiB, made for clusters: where every reader
// of qcow2 has a window of only that size, four recent positions per hash are nearly as good as zlib's chains
// and cost a quarter of the time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/bit_writer.h"

namespace basecow {

/// One per thread; about 50 KiB. The same input always gives the same bytes.
class WindowDeflater {
 public:
  /// Bytes written to `out`; 0 when they would be more than `capacity`. Writes nothing past `capacity`.
  size_t Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  static constexpr size_t kBuckets = 2048;
  static constexpr size_t kBlockTokens = 1U << 13;
  static constexpr size_t kSlack = 8;

  struct Match {
    uint32_t length;
    uint32_t distance;
  };

  Match Find(const uint8_t* in, size_t at, size_t end, uint32_t beat);
  void Insert(const uint8_t* in, size_t at);
  /// Tokens of one block, from `at` on; returns where the block ends.
  size_t Parse(const uint8_t* in, size_t at, size_t length);
  void Literal(uint8_t byte);
  void Copy(Match match);
  /// False when it does not fit; then nothing of it is written.
  bool WriteBlock(BitWriter& out, bool last);
  void WriteTokens(BitWriter& out, const uint8_t* literal_length, const uint8_t* distance_length) const;

  /// Per hash, the last four positions (low 16 bits), newest lowest.
  uint64_t buckets_[kBuckets];
  /// Literal, or distance << 16 | length.
  uint32_t tokens_[kBlockTokens + kSlack];
  size_t count_;
  uint32_t literal_frequency_[286];
  uint32_t distance_frequency_[30];
};

}  // namespace basecow
