// MD5 in AVX-512: a three-input function and a rotation are one instruction each, so a step is four of them
// after the newest word. One stream runs in the lowest lane of a 128-bit vector, more in 4, 8 or 16 lanes of
// one vector or in interleaved vectors: two or three of 8, two of 16.
#if defined(__x86_64__)

// Before the target, so that nothing inline of the standard library is compiled for it.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hash/md5_runs.h"
#include "hash/md5_steps.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl")
// GCC's own headers pass an operand that is not used (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "hash/md5_lanes.h"

namespace basecow {
namespace {

// Truth tables of RFC 1321's functions for "ternary logic" with operands (b, c, d). The newest word comes
// first: on Zen 4 the second and third operand take a cycle longer.
enum Table { kF = 0xca, kG = 0xe4, kH = 0x96, kI = 0x39 };

// What the three widths have alike; `p` is the prefix of the intrinsics.
#define VECTOR(type, p, lanes)                                                        \
  using Word = type;                                                                  \
  static constexpr int kLanes = lanes;                                                \
  static constexpr bool kWholeLines = false;                                          \
  static BASECOW_INLINE void Pin(Word& value) {                                       \
    asm("" : "+v"(value));                                                            \
  }                                                                                   \
  static BASECOW_INLINE Word Add(Word x, Word y) {                                    \
    return p##_add_epi32(x, y);                                                       \
  }                                                                                   \
  static BASECOW_INLINE Word Broadcast(const uint32_t* value) {                       \
    return p##_set1_epi32(static_cast<int>(*value));                                  \
  }                                                                                   \
  template <int s>                                                                    \
  static BASECOW_INLINE Word Rotate(Word x) {                                         \
    return p##_rol_epi32(x, s);                                                       \
  }                                                                                   \
  static BASECOW_INLINE Word AddF(Word t, Word b, Word c, Word d) {                   \
    return Add(t, p##_ternarylogic_epi32(b, c, d, kF));                               \
  }                                                                                   \
  static BASECOW_INLINE Word AddG(Word t, Word b, Word c, Word d) {                   \
    return Add(t, p##_ternarylogic_epi32(b, c, d, kG));                               \
  }                                                                                   \
  static BASECOW_INLINE Word AddH(Word t, Word b, Word c, Word d) {                   \
    return Add(t, p##_ternarylogic_epi32(b, c, d, kH));                               \
  }                                                                                   \
  static BASECOW_INLINE Word AddI(Word t, Word b, Word c, Word d) {                   \
    return Add(t, p##_ternarylogic_epi32(b, c, d, kI));                               \
  }                                                                                   \
  /* 4 x 4 words within each 128 bits; its own reverse. */                            \
  static BASECOW_INLINE void Transpose(const Word* rows, Word* out) {                 \
    const Word low01 = p##_unpacklo_epi32(rows[0], rows[1]);                          \
    const Word low23 = p##_unpacklo_epi32(rows[2], rows[3]);                          \
    const Word high01 = p##_unpackhi_epi32(rows[0], rows[1]);                         \
    const Word high23 = p##_unpackhi_epi32(rows[2], rows[3]);                         \
    out[0] = p##_unpacklo_epi64(low01, low23);                                        \
    out[1] = p##_unpackhi_epi64(low01, low23);                                        \
    out[2] = p##_unpacklo_epi64(high01, high23);                                      \
    out[3] = p##_unpackhi_epi64(high01, high23);                                      \
  }                                                                                   \
  /* Lanes l, l + 4, ... go to the same row, 128 bits each. */                        \
  static BASECOW_INLINE void Quad(const uint8_t* const* rows, size_t at, Word* out) { \
    Word mixed[4];                                                                    \
    BASECOW_UNROLL                                                                    \
    for (int l = 0; l < 4; ++l) mixed[l] = Row(rows + l, at);                         \
    Transpose(mixed, out);                                                            \
  }                                                                                   \
  static BASECOW_INLINE void Unquad(const Word* in, uint32_t* const* rows) {          \
    Word mixed[4];                                                                    \
    Transpose(in, mixed);                                                             \
    BASECOW_UNROLL                                                                    \
    for (int l = 0; l < 4; ++l) StoreRow(mixed[l], rows + l);                         \
  }

BASECOW_INLINE __m128i Load(const uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

BASECOW_INLINE void Store(uint32_t* words, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words), value);
}

struct Xmm {
  VECTOR(__m128i, _mm, 4)
  static constexpr size_t kAhead = 192;
  static BASECOW_INLINE Word Row(const uint8_t* const* rows, size_t at) { return Load(rows[0] + at); }
  static BASECOW_INLINE void StoreRow(Word row, uint32_t* const* rows) { Store(rows[0], row); }
};

struct Ymm {
  VECTOR(__m256i, _mm256, 8)
  static constexpr size_t kAhead = 192;
  static BASECOW_INLINE Word Row(const uint8_t* const* rows, size_t at) {
    return _mm256_mask_broadcast_i32x4(_mm256_castsi128_si256(Load(rows[0] + at)), 0xf0, Load(rows[4] + at));
  }
  static BASECOW_INLINE void StoreRow(Word row, uint32_t* const* rows) {
    Store(rows[0], _mm256_castsi256_si128(row));
    Store(rows[4], _mm256_extracti32x4_epi32(row, 1));
  }
};

struct Zmm {
  VECTOR(__m512i, _mm512, 16)
  static constexpr size_t kAhead = 512;
  // A broadcast from memory into some lanes needs no shuffle.
  static BASECOW_INLINE Word Row(const uint8_t* const* rows, size_t at) {
    Word row = _mm512_castsi128_si512(Load(rows[0] + at));
    row = _mm512_mask_broadcast_i32x4(row, 0x00f0, Load(rows[4] + at));
    row = _mm512_mask_broadcast_i32x4(row, 0x0f00, Load(rows[8] + at));
    return _mm512_mask_broadcast_i32x4(row, 0xf000, Load(rows[12] + at));
  }
  static BASECOW_INLINE void StoreRow(Word row, uint32_t* const* rows) {
    Store(rows[0], _mm512_castsi512_si128(row));
    Store(rows[4], _mm512_extracti32x4_epi32(row, 1));
    Store(rows[8], _mm512_extracti32x4_epi32(row, 2));
    Store(rows[12], _mm512_extracti32x4_epi32(row, 3));
  }
};

// Two of these are waiting for memory otherwise (Zen 5).
struct ZmmLines : Zmm {
  static constexpr size_t kAhead = 128;
  static constexpr bool kWholeLines = true;
  // Of 4 lanes: mixed[w] = words w, 4 + w, 8 + w, 12 + w of every lane, one after another.
  static BASECOW_INLINE void Lines(const uint8_t* const* rows, size_t at, Word* mixed) {
    Word lines[4];
    BASECOW_UNROLL
    for (int l = 0; l < 4; ++l) lines[l] = _mm512_loadu_si512(rows[l] + at);
    Transpose(lines, mixed);
  }
  // mixed[0], [4], [8], [12]: the same words of lanes 0, 4, 8, 12 and up; out[4 * q]: one of them of all
  // lanes.
  static BASECOW_INLINE void Words(const Word* mixed, Word* out) {
    const Word low0 = _mm512_shuffle_i32x4(mixed[0], mixed[4], 0x44);
    const Word high0 = _mm512_shuffle_i32x4(mixed[0], mixed[4], 0xee);
    const Word low8 = _mm512_shuffle_i32x4(mixed[8], mixed[12], 0x44);
    const Word high8 = _mm512_shuffle_i32x4(mixed[8], mixed[12], 0xee);
    out[0] = _mm512_shuffle_i32x4(low0, low8, 0x88);
    out[4] = _mm512_shuffle_i32x4(low0, low8, 0xdd);
    out[8] = _mm512_shuffle_i32x4(high0, high8, 0x88);
    out[12] = _mm512_shuffle_i32x4(high0, high8, 0xdd);
  }
};

#undef VECTOR

}  // namespace

namespace md5 {

void Avx512One(uint32_t state[4], const uint8_t* data, size_t blocks) {
  __m128i a = _mm_cvtsi32_si128(static_cast<int>(state[0]));
  __m128i b = _mm_cvtsi32_si128(static_cast<int>(state[1]));
  __m128i c = _mm_cvtsi32_si128(static_cast<int>(state[2]));
  __m128i d = _mm_cvtsi32_si128(static_cast<int>(state[3]));
  const uint32_t* sines = kMd5Sines;
  for (; blocks != 0; --blocks, data += 64) {
    asm("" : "+r"(sines));
    const __m128i start[4] = {a, b, c, d};
// Words and constants come as broadcasts from memory, which an addition takes as its operand.
#define ADD_WORDS(to, i, word)                                                                     \
  int bits;                                                                                        \
  memcpy(&bits, data + 4 * (word), sizeof(bits));                                                  \
  __m128i t = _mm_add_epi32(_mm_add_epi32(to, Xmm::Broadcast(sines + (i))), _mm_set1_epi32(bits)); \
  Xmm::Pin(t)
#define STEP(f, a, b, c, d, i, word, s) \
  {                                     \
    ADD_WORDS(a, i, word);              \
    t = Xmm::Add##f(t, b, c, d);        \
    a = Xmm::Add(Xmm::Rotate<s>(t), b); \
  }
    BASECOW_MD5_STEPS(STEP);
    {
      __m128i end = Xmm::Add(start[1], c);
      Xmm::Pin(end);
      ADD_WORDS(b, 63, 9);
      t = Xmm::AddI(t, c, d, a);
      b = Xmm::Add(Xmm::Rotate<21>(t), end);
    }
    a = Xmm::Add(a, start[0]);
    c = Xmm::Add(c, start[2]);
    d = Xmm::Add(d, start[3]);
#undef STEP
#undef ADD_WORDS
  }
  state[0] = static_cast<uint32_t>(_mm_cvtsi128_si32(a));
  state[1] = static_cast<uint32_t>(_mm_cvtsi128_si32(b));
  state[2] = static_cast<uint32_t>(_mm_cvtsi128_si32(c));
  state[3] = static_cast<uint32_t>(_mm_cvtsi128_si32(d));
}

void Avx512x4(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Xmm, 1>(states, data, blocks);
}

void Avx512x8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Ymm, 1>(states, data, blocks);
}

void Avx512x2x8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Ymm, 2>(states, data, blocks);
}

void Avx512x3x8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Ymm, 3>(states, data, blocks);
}

void Avx512x16(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Zmm, 1>(states, data, blocks);
}

void Avx512x2x16(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<ZmmLines, 2>(states, data, blocks);
}

}  // namespace md5
}  // namespace basecow

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
