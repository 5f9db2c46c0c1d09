// Bits into bytes, lowest first (RFC 1951, 3.1.1).
#pragma once

#include <cstdint>
#include <cstring>

namespace basecow {

/// The caller makes sure that all it puts fits before `end`.
struct BitWriter {
  uint8_t* out;
  uint8_t* end;
  uint64_t held = 0;
  unsigned count = 0;

  /// At most 56 bits since the last Flush.
  void Put(uint64_t value, unsigned bits) {
    held |= value << count;
    count += bits;
  }

  /// Moves whole bytes out.
  void Flush() {
    if (end - out >= 8) [[likely]] {
      memcpy(out, &held, 8);
      out += count >> 3;
      held >>= count & ~7U;
      count &= 7;
      return;
    }
    while (count >= 8) {
      *out++ = static_cast<uint8_t>(held);
      held >>= 8;
      count -= 8;
    }
  }
};

}  // namespace basecow
