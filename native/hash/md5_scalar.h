// MD5 block compression in general registers, for one to three streams side by side: two or three fill the
// gaps that the chain of one leaves. Arranged for the shortest path from one step's result to the next:
// whatever does not need the newest word is added early, and an empty asm keeps the compiler from adding in
// another order. Included by one file per target; everything here is local to that file.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hash/md5_steps.h"

#define BASECOW_INLINE inline __attribute__((always_inline))

namespace basecow {
namespace {

/// The value is final here: keeps the order of additions around it.
BASECOW_INLINE void Pin(uint32_t& value) {
  asm("" : "+r"(value));
}

BASECOW_INLINE uint32_t Load(const uint8_t* block, int word) {
  uint32_t value;
  memcpy(&value, block + 4 * word, sizeof(value));
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap32(value);
  return value;
}

// Each adds its function of (b, c, d) to a; b is the newest word, only what needs it may come after the pins.

BASECOW_INLINE void AddF(uint32_t& a, uint32_t b, uint32_t c, uint32_t d) {
  a += ((c ^ d) & b) ^ d;
}

// The two halves of G select disjoint bits, so they may be added instead of joined: only one of them waits
// for b.
BASECOW_INLINE void AddG(uint32_t& a, uint32_t b, uint32_t c, uint32_t d) {
  a += ~d & c;
  Pin(a);
  a += d & b;
}

BASECOW_INLINE void AddH(uint32_t& a, uint32_t b, uint32_t c, uint32_t d) {
  uint32_t early = c ^ d;
  Pin(early);
  a += early ^ b;
}

// c ^ (b | ~d), without the instruction "and not": ~d is ready early.
struct OrNot {
  static constexpr uint32_t kSine = 0;
  static BASECOW_INLINE void AddI(uint32_t& a, uint32_t b, uint32_t c, uint32_t d) {
    uint32_t early = ~d;
    Pin(early);
    a += (early | b) ^ c;
  }
};

// The same as -1 - (c ^ (~b & d)), one instruction less where there is "and not". kSine is added to the sine.
struct AndNot {
  static constexpr uint32_t kSine = 0xffffffff;
  static BASECOW_INLINE void AddI(uint32_t& a, uint32_t b, uint32_t c, uint32_t d) { a -= (~b & d) ^ c; }
};

template <int lanes, typename Select>
BASECOW_INLINE void Compress(uint32_t* const* states, const uint8_t* const* starts, size_t blocks) {
  struct {
    uint32_t a, b, c, d;
  } v[lanes];
  const uint8_t* data[lanes];
  for (int n = 0; n < lanes; ++n) {
    v[n] = {states[n][0], states[n][1], states[n][2], states[n][3]};
    data[n] = starts[n];
  }
  for (; blocks != 0; --blocks) {
#define STEP(f, a, b, c, d, i, word, s)                                             \
  _Pragma("GCC unroll 4") for (int n = 0; n < lanes; ++n) {                         \
    uint32_t& t = v[n].a;                                                           \
    t += Load(data[n], word) + (kMd5Sines[i] + (#f[0] == 'I' ? Select::kSine : 0)); \
    Pin(t);                                                                         \
    if constexpr (#f[0] == 'F') AddF(t, v[n].b, v[n].c, v[n].d);                    \
    if constexpr (#f[0] == 'G') AddG(t, v[n].b, v[n].c, v[n].d);                    \
    if constexpr (#f[0] == 'H') AddH(t, v[n].b, v[n].c, v[n].d);                    \
    if constexpr (#f[0] == 'I') Select::AddI(t, v[n].b, v[n].c, v[n].d);            \
    t = std::rotl(t, s) + v[n].b;                                                   \
  }
    BASECOW_MD5_STEPS(STEP);
#undef STEP
    // The last step, with the block's start added off the path.
    _Pragma("GCC unroll 4") for (int n = 0; n < lanes; ++n) {
      uint32_t end = states[n][1] + v[n].c;
      Pin(end);
      uint32_t& t = v[n].b;
      t += Load(data[n], 9) + (kMd5Sines[63] + Select::kSine);
      Pin(t);
      Select::AddI(t, v[n].c, v[n].d, v[n].a);
      states[n][1] = t = std::rotl(t, 21) + end;
      states[n][0] = v[n].a += states[n][0];
      states[n][2] = v[n].c += states[n][2];
      states[n][3] = v[n].d += states[n][3];
      data[n] += 64;
    }
  }
}

template <typename Select>
void One(uint32_t state[4], const uint8_t* data, size_t blocks) {
  Compress<1, Select>(&state, &data, blocks);
}

template <int lanes, typename Select>
void Some(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  Compress<lanes, Select>(states, data, blocks);
}

}  // namespace
}  // namespace basecow
