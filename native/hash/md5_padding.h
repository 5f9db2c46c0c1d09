// How an MD5 message begins and ends (RFC 1321, 3.1 to 3.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace basecow {

inline constexpr uint32_t kMd5Initial[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
inline constexpr size_t kMd5TailBytes = 128;

/// Writes the last blocks of a message of `length` bytes: `rest` (its last length % 64 bytes), a one bit,
/// zeros to 56 mod 64, the length in bits, low byte first. Gives the number of blocks, 1 or 2.
inline size_t Md5Tail(const uint8_t* rest, uint64_t length, uint8_t tail[kMd5TailBytes]) {
  const size_t waiting = length % 64;
  const size_t blocks = waiting < 56 ? 1 : 2;
  // A message without bytes may come without an address.
  if (waiting != 0) memcpy(tail, rest, waiting);
  tail[waiting] = 0x80;
  memset(tail + waiting + 1, 0, blocks * 64 - waiting - 1);
  const uint64_t bits = length * 8;
  for (size_t i = 0; i < 8; ++i) tail[blocks * 64 - 8 + i] = static_cast<uint8_t>(bits >> (8 * i));
  return blocks;
}

}  // namespace basecow
