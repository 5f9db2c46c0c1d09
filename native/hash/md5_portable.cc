// MD5 block compression (RFC 1321) in plain C++, arranged for the shortest path from one step's result to the
// next: whatever does not need the newest word is added early, and an empty asm keeps the compiler from
// adding in another order. Written for one or two streams; two fill the gaps that the chain of one leaves.
#include <bit>
#include <cstring>

#include "hash/md5.h"

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

// One step: a = b + rotl(a + f(b, c, d) + m + k, s). b is the newest word.

template <int s>
BASECOW_INLINE void F(uint32_t& a, uint32_t b, uint32_t c, uint32_t d, uint32_t m, uint32_t k) {
  a += m + k;
  Pin(a);
  a += ((c ^ d) & b) ^ d;
  a = std::rotl(a, s) + b;
}

// The two halves of G select disjoint bits, so they may be added instead of joined: only one of them waits
// for b.
template <int s>
BASECOW_INLINE void G(uint32_t& a, uint32_t b, uint32_t c, uint32_t d, uint32_t m, uint32_t k) {
  a += m + k;
  Pin(a);
  a += ~d & c;
  Pin(a);
  a += d & b;
  a = std::rotl(a, s) + b;
}

template <int s>
BASECOW_INLINE void H(uint32_t& a, uint32_t b, uint32_t c, uint32_t d, uint32_t m, uint32_t k) {
  a += m + k;
  Pin(a);
  uint32_t early = c ^ d;
  Pin(early);
  a += early ^ b;
  a = std::rotl(a, s) + b;
}

template <int s>
BASECOW_INLINE void I(uint32_t& a, uint32_t b, uint32_t c, uint32_t d, uint32_t m, uint32_t k) {
  a += m + k;
  Pin(a);
  uint32_t early = ~d;
  Pin(early);
  a += (early | b) ^ c;
  a = std::rotl(a, s) + b;
}

template <int lanes>
struct Lanes {
  uint32_t a[lanes];
  uint32_t b[lanes];
  uint32_t c[lanes];
  uint32_t d[lanes];
};

template <int lanes>
BASECOW_INLINE void Compress(uint32_t* const (&states)[lanes], const uint8_t* const (&starts)[lanes],
                             size_t blocks) {
  Lanes<lanes> v;
  const uint8_t* data[lanes];
  for (int n = 0; n < lanes; ++n) {
    v.a[n] = states[n][0];
    v.b[n] = states[n][1];
    v.c[n] = states[n][2];
    v.d[n] = states[n][3];
    data[n] = starts[n];
  }
  for (; blocks != 0; --blocks) {
#define STEP(f, a, b, c, d, word, s, k) \
  for (int n = 0; n < lanes; ++n) f<s>(v.a[n], v.b[n], v.c[n], v.d[n], Load(data[n], word), k)
#define FOUR(f, s0, s1, s2, s3, w0, k0, w1, k1, w2, k2, w3, k3) \
  STEP(f, a, b, c, d, w0, s0, k0);                              \
  STEP(f, d, a, b, c, w1, s1, k1);                              \
  STEP(f, c, d, a, b, w2, s2, k2);                              \
  STEP(f, b, c, d, a, w3, s3, k3)

    // RFC 1321, 3.4: word order and the sine table.
    FOUR(F, 7, 12, 17, 22, 0, 0xd76aa478, 1, 0xe8c7b756, 2, 0x242070db, 3, 0xc1bdceee);
    FOUR(F, 7, 12, 17, 22, 4, 0xf57c0faf, 5, 0x4787c62a, 6, 0xa8304613, 7, 0xfd469501);
    FOUR(F, 7, 12, 17, 22, 8, 0x698098d8, 9, 0x8b44f7af, 10, 0xffff5bb1, 11, 0x895cd7be);
    FOUR(F, 7, 12, 17, 22, 12, 0x6b901122, 13, 0xfd987193, 14, 0xa679438e, 15, 0x49b40821);

    FOUR(G, 5, 9, 14, 20, 1, 0xf61e2562, 6, 0xc040b340, 11, 0x265e5a51, 0, 0xe9b6c7aa);
    FOUR(G, 5, 9, 14, 20, 5, 0xd62f105d, 10, 0x02441453, 15, 0xd8a1e681, 4, 0xe7d3fbc8);
    FOUR(G, 5, 9, 14, 20, 9, 0x21e1cde6, 14, 0xc33707d6, 3, 0xf4d50d87, 8, 0x455a14ed);
    FOUR(G, 5, 9, 14, 20, 13, 0xa9e3e905, 2, 0xfcefa3f8, 7, 0x676f02d9, 12, 0x8d2a4c8a);

    FOUR(H, 4, 11, 16, 23, 5, 0xfffa3942, 8, 0x8771f681, 11, 0x6d9d6122, 14, 0xfde5380c);
    FOUR(H, 4, 11, 16, 23, 1, 0xa4beea44, 4, 0x4bdecfa9, 7, 0xf6bb4b60, 10, 0xbebfbc70);
    FOUR(H, 4, 11, 16, 23, 13, 0x289b7ec6, 0, 0xeaa127fa, 3, 0xd4ef3085, 6, 0x04881d05);
    FOUR(H, 4, 11, 16, 23, 9, 0xd9d4d039, 12, 0xe6db99e5, 15, 0x1fa27cf8, 2, 0xc4ac5665);

    FOUR(I, 6, 10, 15, 21, 0, 0xf4292244, 7, 0x432aff97, 14, 0xab9423a7, 5, 0xfc93a039);
    FOUR(I, 6, 10, 15, 21, 12, 0x655b59c3, 3, 0x8f0ccc92, 10, 0xffeff47d, 1, 0x85845dd1);
    FOUR(I, 6, 10, 15, 21, 8, 0x6fa87e4f, 15, 0xfe2ce6e0, 6, 0xa3014314, 13, 0x4e0811a1);
    FOUR(I, 6, 10, 15, 21, 4, 0xf7537e82, 11, 0xbd3af235, 2, 0x2ad7d2bb, 9, 0xeb86d391);

#undef FOUR
#undef STEP

    for (int n = 0; n < lanes; ++n) {
      states[n][0] = v.a[n] += states[n][0];
      states[n][1] = v.b[n] += states[n][1];
      states[n][2] = v.c[n] += states[n][2];
      states[n][3] = v.d[n] += states[n][3];
      data[n] += kMd5Block;
    }
  }
}

void One(uint32_t state[4], const uint8_t* data, size_t blocks) {
  uint32_t* const states[] = {state};
  const uint8_t* const starts[] = {data};
  Compress<1>(states, starts, blocks);
}

void Two(uint32_t first[4], const uint8_t* first_data, uint32_t second[4], const uint8_t* second_data,
         size_t blocks) {
  uint32_t* const states[] = {first, second};
  const uint8_t* const starts[] = {first_data, second_data};
  Compress<2>(states, starts, blocks);
}

}  // namespace

const Md5Kernels& PortableMd5Kernels() {
  static constexpr Md5Kernels kPortable = {One, Two, "portable"};
  return kPortable;
}

}  // namespace basecow
