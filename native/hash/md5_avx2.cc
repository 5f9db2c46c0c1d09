// MD5 in AVX2: 8 lanes, in two or three interleaved vectors where there are streams enough; one vector alone
// waits for its own results most of the time.
#if defined(__x86_64__)

// Before the target, so that nothing inline of the standard library is compiled for it.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hash/md5_runs.h"
#include "hash/md5_steps.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#include "hash/md5_lanes.h"

namespace basecow {
namespace {

struct Avx2 {
  using Word = __m256i;
  static constexpr int kLanes = 8;
  static constexpr size_t kAhead = 192;
  static constexpr bool kWholeLines = false;

  static BASECOW_INLINE void Pin(Word& value) { asm("" : "+x"(value)); }
  static BASECOW_INLINE Word Add(Word x, Word y) { return _mm256_add_epi32(x, y); }
  static BASECOW_INLINE Word Broadcast(const uint32_t* value) {
    return _mm256_set1_epi32(static_cast<int>(*value));
  }
  template <int s>
  static BASECOW_INLINE Word Rotate(Word x) {
    if constexpr (s == 16) {
      return _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13,  //
                                                     2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    }
    return _mm256_or_si256(_mm256_slli_epi32(x, s), _mm256_srli_epi32(x, 32 - s));
  }

  static BASECOW_INLINE Word AddF(Word t, Word b, Word c, Word d) {
    return Add(t, _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(c, d), b), d));
  }
  // As in md5_scalar.h: disjoint halves, the one without b first.
  static BASECOW_INLINE Word AddG(Word t, Word b, Word c, Word d) {
    t = Add(t, _mm256_andnot_si256(d, c));
    Pin(t);
    return Add(t, _mm256_and_si256(d, b));
  }
  static BASECOW_INLINE Word AddH(Word t, Word b, Word c, Word d) {
    Word early = _mm256_xor_si256(c, d);
    Pin(early);
    return Add(t, _mm256_xor_si256(early, b));
  }
  static BASECOW_INLINE Word AddI(Word t, Word b, Word c, Word d) {
    Word early = _mm256_xor_si256(d, _mm256_set1_epi32(-1));
    Pin(early);
    return Add(t, _mm256_xor_si256(_mm256_or_si256(early, b), c));
  }

  static BASECOW_INLINE void Transpose(const Word* rows, Word* out) {
    const Word low01 = _mm256_unpacklo_epi32(rows[0], rows[1]);
    const Word low23 = _mm256_unpacklo_epi32(rows[2], rows[3]);
    const Word high01 = _mm256_unpackhi_epi32(rows[0], rows[1]);
    const Word high23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
    out[0] = _mm256_unpacklo_epi64(low01, low23);
    out[1] = _mm256_unpackhi_epi64(low01, low23);
    out[2] = _mm256_unpacklo_epi64(high01, high23);
    out[3] = _mm256_unpackhi_epi64(high01, high23);
  }
  static BASECOW_INLINE void Quad(const uint8_t* const* rows, size_t at, Word* out) {
    Word pairs[4];
    BASECOW_UNROLL
    for (int l = 0; l < 4; ++l) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[l] + at));
      const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[l + 4] + at));
      pairs[l] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    Transpose(pairs, out);
  }
  static BASECOW_INLINE void Unquad(const Word* in, uint32_t* const* rows) {
    Word pairs[4];
    Transpose(in, pairs);
    BASECOW_UNROLL
    for (int l = 0; l < 4; ++l) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(rows[l]), _mm256_castsi256_si128(pairs[l]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(rows[l + 4]), _mm256_extracti128_si256(pairs[l], 1));
    }
  }
};

}  // namespace

namespace md5 {

void Avx2x8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Avx2, 1>(states, data, blocks);
}

void Avx2x2x8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Avx2, 2>(states, data, blocks);
}

void Avx2x3x8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Avx2, 3>(states, data, blocks);
}

}  // namespace md5
}  // namespace basecow

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
