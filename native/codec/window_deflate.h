// Raw deflate (RFC 1951) with matches that reach back at most 4 KiB, made for clusters: where every reader of
// qcow2 has a window of only that size, the nearest place with the same 3 bytes and the nearest with the same
// 5 find nearly what the chains of zlib find, in a tenth of the time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/bit_writer.h"
#include "codec/deflate_tables.h"

namespace basecow {

/// Literals, then a copy; the last of a block has none (length 0).
struct Sequence {
  uint32_t literals;
  uint16_t length;
  uint16_t distance;
};

/// What one thread needs to cut clusters into sequences; about 190 KiB.
struct WindowParser {
  static constexpr unsigned kHashBits = 12;
  /// Input of one block, but for the rest of a last match.
  static constexpr size_t kBlock = 65536;
  static constexpr size_t kMostSequences = (kBlock + kMostMatch) / 3 + 2;

  void Reset();
  /// Sequences of one block of `in`, from `at` on; returns where the block ends. The same on every machine.
  size_t Parse(const uint8_t* in, size_t at, size_t length);

  /// Last position, modulo 64 KiB, with such bytes, by their hash. What is older than the window names some
  /// other place in it, which is then compared like any other.
  uint16_t three[1U << kHashBits];
  uint16_t five[1U << kHashBits];
  Sequence sequences[kMostSequences];
  size_t count;
  /// Searches in a row that found nothing.
  uint32_t misses;
  /// Only code that every machine can run, for tests.
  bool portable = false;
  uint32_t literal_frequency[kLiteralSymbols];
  uint32_t distance_frequency[kDistanceSymbols];
};

/// One per thread. The same input always gives the same bytes.
class WindowDeflater {
 public:
  explicit WindowDeflater(bool portable = false) { parser_.portable = portable; }

  /// Bytes written to `out`; 0 when they would be more than `capacity`. Writes nothing past `capacity`.
  size_t Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  /// `in`: where the block begins. False when it does not fit; then nothing of it is written.
  bool WriteBlock(const uint8_t* in, BitWriter& out, bool last);

  WindowParser parser_;
};

}  // namespace basecow
