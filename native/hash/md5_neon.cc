// MD5 in NEON: 4 lanes, in two or four interleaved vectors; a vector instruction takes two cycles or more on
// most cores, so that one vector alone would mostly wait for itself.
#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <arm_neon.h>

#include "hash/md5_lanes.h"
#include "hash/md5_runs.h"

namespace basecow {
namespace {

struct Neon {
  using Word = uint32x4_t;
  static constexpr int kLanes = 4;
  static constexpr size_t kAhead = 192;
  static constexpr bool kWholeLines = false;

  static BASECOW_INLINE void Pin(Word& value) { asm("" : "+w"(value)); }
  static BASECOW_INLINE Word Add(Word x, Word y) { return vaddq_u32(x, y); }
  static BASECOW_INLINE Word Broadcast(const uint32_t* value) { return vld1q_dup_u32(value); }
  template <int s>
  static BASECOW_INLINE Word Rotate(Word x) {
    if constexpr (s == 16) return vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(x)));
    return vsriq_n_u32(vshlq_n_u32(x, s), x, 32 - s);
  }

  static BASECOW_INLINE Word AddF(Word t, Word b, Word c, Word d) { return Add(t, vbslq_u32(b, c, d)); }
  static BASECOW_INLINE Word AddG(Word t, Word b, Word c, Word d) { return Add(t, vbslq_u32(d, b, c)); }
  static BASECOW_INLINE Word AddH(Word t, Word b, Word c, Word d) {
    Word early = veorq_u32(c, d);
    Pin(early);
    return Add(t, veorq_u32(early, b));
  }
  static BASECOW_INLINE Word AddI(Word t, Word b, Word c, Word d) {
    return Add(t, veorq_u32(c, vornq_u32(b, d)));
  }

  /// 4 x 4 words; its own reverse.
  static BASECOW_INLINE void Transpose(const Word* rows, Word* out) {
    const auto low = [](Word x, Word y) {
      return vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)));
    };
    const auto high = [](Word x, Word y) {
      return vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)));
    };
    const Word low01 = vzip1q_u32(rows[0], rows[1]);
    const Word low23 = vzip1q_u32(rows[2], rows[3]);
    const Word high01 = vzip2q_u32(rows[0], rows[1]);
    const Word high23 = vzip2q_u32(rows[2], rows[3]);
    out[0] = low(low01, low23);
    out[1] = high(low01, low23);
    out[2] = low(high01, high23);
    out[3] = high(high01, high23);
  }
  static BASECOW_INLINE void Quad(const uint8_t* const* rows, size_t at, Word* out) {
    Word quads[4];
    BASECOW_UNROLL
    for (int l = 0; l < 4; ++l) quads[l] = vreinterpretq_u32_u8(vld1q_u8(rows[l] + at));
    Transpose(quads, out);
  }
  static BASECOW_INLINE void Unquad(const Word* in, uint32_t* const* rows) {
    Word quads[4];
    Transpose(in, quads);
    BASECOW_UNROLL
    for (int l = 0; l < 4; ++l) vst1q_u32(rows[l], quads[l]);
  }
};

}  // namespace

namespace md5 {

void Neon8(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Neon, 2>(states, data, blocks);
}

void Neon16(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  RunLanes<Neon, 4>(states, data, blocks);
}

}  // namespace md5
}  // namespace basecow

#endif
