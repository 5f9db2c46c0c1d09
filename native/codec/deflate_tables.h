// Length and distance codes of deflate (RFC 1951, 3.2.5).
#pragma once

#include <cstddef>
#include <cstdint>

namespace basecow {

inline constexpr size_t kLiteralSymbols = 286;
inline constexpr size_t kDistanceSymbols = 30;
inline constexpr unsigned kEndOfBlock = 256;
inline constexpr uint32_t kMostMatch = 258;
/// Bytes that a reader of qcow2 can look back (block/qcow2-threads.c: inflateInit2 with 12 bits).
inline constexpr uint32_t kWindow = 4096;

/// A slot is the symbol without the literals and the end of block before it.
struct LengthTables {
  uint8_t slot[kMostMatch + 1];
  uint16_t base[29];
  uint8_t extra[29];

  constexpr LengthTables() : slot(), base(), extra() {
    unsigned length = 3;
    for (unsigned i = 0; i < 28; i++) {
      extra[i] = static_cast<uint8_t>(i < 8 ? 0 : i / 4 - 1);
      base[i] = static_cast<uint16_t>(length);
      for (unsigned k = 0; k < 1U << extra[i]; k++, length++) {
        if (length <= kMostMatch) slot[length] = static_cast<uint8_t>(i);
      }
    }
    extra[28] = 0;
    base[28] = kMostMatch;
    slot[kMostMatch] = 28;
  }
};
inline constexpr LengthTables kLengths;

inline constexpr unsigned kWindowSlots = 24;

/// Of the distances within the window.
struct DistanceTables {
  uint8_t slot[kWindow + 1];
  uint16_t base[kWindowSlots];
  uint8_t extra[kWindowSlots];

  constexpr DistanceTables() : slot(), base(), extra() {
    unsigned distance = 1;
    for (unsigned i = 0; i < kWindowSlots; i++) {
      extra[i] = static_cast<uint8_t>(i < 4 ? 0 : i / 2 - 1);
      base[i] = static_cast<uint16_t>(distance);
      for (unsigned k = 0; k < 1U << extra[i]; k++) slot[distance++] = static_cast<uint8_t>(i);
    }
  }
};
inline constexpr DistanceTables kDistances;

}  // namespace basecow
