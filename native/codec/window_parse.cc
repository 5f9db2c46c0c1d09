#include <algorithm>
#include <bit>
#include <cstring>

#include "codec/cpu.h"
#include "codec/window_deflate.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace basecow {

namespace {

/// Bytes compared at once.
constexpr uint32_t kStep = 16;
/// The search looks at two positions, and at the bytes after each that are compared.
constexpr size_t kReadAhead = kStep + 1;
/// After so many searches without a match (as a power of two), every further one is a byte farther on.
constexpr unsigned kPatience = 5;

BASECOW_INLINE uint64_t Load64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  static_assert(std::endian::native == std::endian::little);
  return value;
}

BASECOW_INLINE uint32_t HashThree(uint64_t bytes) {
  return (static_cast<uint32_t>(bytes) << 8) * 0x9e3779b1U >> (32 - WindowParser::kHashBits);
}

BASECOW_INLINE uint32_t HashFive(uint64_t bytes) {
  return static_cast<uint32_t>((bytes << 24) * 0x9e3779b97f4a7c15U >> (64 - WindowParser::kHashBits));
}

/// 2^(n+1) - 1 for n equal bytes, at most kStep: grows with n, and can be merged by OR.
template <bool kVectors>
BASECOW_INLINE uint32_t Same(const uint8_t* here, const uint8_t* there) {
#if defined(__x86_64__)
  if (kVectors) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(here));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(there));
    const auto equal = static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)));
    return equal ^ (equal + 1);
  }
#endif
  const uint64_t low = Load64(here) ^ Load64(there);
  const uint64_t high = Load64(here + 8) ^ Load64(there + 8);
  const int equal = low != 0 ? std::countr_zero(low) / 8 : 8 + std::countr_zero(high) / 8;
  return (2U << equal) - 1;
}

struct Match {
  uint32_t same;
  /// Minus the distance.
  int64_t back;
};

BASECOW_INLINE int64_t Back(uint64_t entry, size_t at) {
  return static_cast<int64_t>(entry - at) | -int64_t{kWindow};
}

/// The longer of the two candidates, and the nearer if they are equal.
template <bool kVectors>
BASECOW_INLINE Match Look(WindowParser& parser, const uint8_t* here, uint64_t bytes, size_t at) {
  uint16_t& three = parser.three[HashThree(bytes)];
  uint16_t& five = parser.five[HashFive(bytes)];
  const int64_t near = Back(three, at);
  const int64_t far = Back(five, at);
  three = five = static_cast<uint16_t>(at);
  const uint32_t same_near = Same<kVectors>(here, here + near);
  const uint32_t same_far = Same<kVectors>(here, here + far);
  const bool take_far = same_far > same_near;
  return {take_far ? same_far : same_near, take_far ? far : near};
}

BASECOW_INLINE void Insert(WindowParser& parser, const uint8_t* in, size_t at) {
  parser.three[HashThree(Load64(in + at))] = static_cast<uint16_t>(at);
}

/// Bytes that both places have in common, at most `most`; the first kStep are known to be.
BASECOW_INLINE uint32_t Extend(const uint8_t* here, const uint8_t* there, uint32_t most) {
  uint32_t same = kStep;
  while (same + 8 <= most) {
    const uint64_t different = Load64(there + same) ^ Load64(here + same);
    if (different != 0) return same + static_cast<uint32_t>(std::countr_zero(different)) / 8;
    same += 8;
  }
  while (same < most && there[same] == here[same]) same++;
  return same;
}

template <bool kVectors>
BASECOW_INLINE size_t ParseBlock(WindowParser& parser, const uint8_t* in, size_t at, size_t length) {
  uint32_t* const literals = parser.literal_frequency;
  memset(literals, 0, sizeof parser.literal_frequency);
  memset(parser.distance_frequency, 0, sizeof parser.distance_frequency);
  const size_t searchable = length > kReadAhead ? length - kReadAhead : 0;
  const size_t limit = std::min(searchable, at + WindowParser::kBlock);
  Sequence* sequence = parser.sequences;
  size_t begin = at;
  uint32_t misses = parser.misses;
  // Empty entries name position 0, so that the first byte has nothing to be compared with.
  if (at == 0 && limit != 0) literals[in[at++]]++;
  while (at < limit) {
    const uint8_t* const here = in + at;
    const uint64_t bytes = Load64(here);
    Match match = Look<kVectors>(parser, here, bytes, at);
    const Match next = Look<kVectors>(parser, here + 1, bytes >> 8, at + 1);
    literals[here[0]]++;
    // Fewer than three bytes.
    if ((match.same | next.same) < 0xf) {
      literals[here[1]]++;
      at += 2;
      // Where nothing has matched for long, nothing is likely to: look more rarely.
      if (++misses >> kPatience != 0) [[unlikely]] {
        const size_t until = std::min(at + (misses >> kPatience), limit);
        while (at < until) literals[in[at++]]++;
      }
      continue;
    }
    misses = 0;
    size_t missing = at + 2;
    const uint32_t lazy = next.same > match.same ? 1 : 0;
    match.back = lazy != 0 ? next.back : match.back;
    match.same |= next.same;
    literals[here[0]] += lazy - 1;
    at += lazy;
    auto size = static_cast<uint32_t>(31 - std::countl_zero(match.same));
    if (size == kStep) [[unlikely]] {
      const auto most = static_cast<uint32_t>(std::min<size_t>(kMostMatch, length - at));
      size = Extend(in + at, in + at + match.back, most);
    }
    const auto distance = static_cast<uint32_t>(-match.back);
    *sequence++ = {static_cast<uint32_t>(at - begin), static_cast<uint16_t>(size),
                   static_cast<uint16_t>(distance)};
    literals[kEndOfBlock + 1 + kLengths.slot[size]]++;
    parser.distance_frequency[kDistances.slot[distance]]++;
    at += size;
    begin = at;
    const size_t until = std::min(at, searchable);
    // How many there are cannot be predicted either: six at once, the last more than once if need be. Only
    // the nearest place is worth it.
    for (; missing < until; missing += 6) {
      Insert(parser, in, missing);
      Insert(parser, in, std::min(missing + 1, until - 1));
      Insert(parser, in, std::min(missing + 2, until - 1));
      Insert(parser, in, std::min(missing + 3, until - 1));
      Insert(parser, in, std::min(missing + 4, until - 1));
      Insert(parser, in, std::min(missing + 5, until - 1));
    }
  }
  if (at >= searchable) {
    while (at < length) literals[in[at++]]++;
  }
  *sequence++ = {static_cast<uint32_t>(at - begin), 0, 0};
  parser.count = static_cast<size_t>(sequence - parser.sequences);
  parser.misses = misses;
  return at;
}

#if defined(__x86_64__)
BASECOW_V3 size_t ParseV3(WindowParser& parser, const uint8_t* in, size_t at, size_t length) {
  return ParseBlock<true>(parser, in, at, length);
}
#endif

}  // namespace

void WindowParser::Reset() {
  memset(three, 0, sizeof three);
  memset(five, 0, sizeof five);
  misses = 0;
}

size_t WindowParser::Parse(const uint8_t* in, size_t at, size_t length) {
#if defined(__x86_64__)
  if (!portable && HasV3()) return ParseV3(*this, in, at, length);
#endif
  return ParseBlock<false>(*this, in, at, length);
}

}  // namespace basecow
