#include "codec/window_deflate.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codec/code_header.h"
#include "codec/huffman.h"

namespace basecow {

namespace {

constexpr uint32_t kLeastMatch = 4;
constexpr uint32_t kMostMatch = 258;
constexpr uint32_t kMostDistance = 4095;
/// A match this long is taken without looking for a better one at the next byte.
constexpr uint32_t kGoodMatch = 8;
/// Bytes that reading at a position may touch.
constexpr size_t kReadAhead = 8;

/// RFC 1951, 3.2.5.
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
constexpr LengthTables kLengths;

inline uint32_t SlotOf(uint32_t distance) {
  const uint32_t d = distance - 1;
  if (d < 4) return d;
  const uint32_t bits = 31 - static_cast<uint32_t>(std::countl_zero(d));
  return 2 * bits + (d >> (bits - 1) & 1);
}

inline uint32_t DistanceExtra(uint32_t slot) {
  return slot < 4 ? 0 : slot / 2 - 1;
}

inline uint32_t Load32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

inline uint64_t Load64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

inline uint32_t Hash(uint32_t four) {
  return four * 0x9e3779b1U >> 21;
}

}  // namespace

inline void WindowDeflater::Literal(uint8_t byte) {
  tokens_[count_++] = byte;
  literal_frequency_[byte]++;
}

inline void WindowDeflater::Copy(Match match) {
  tokens_[count_++] = match.distance << 16 | match.length;
  literal_frequency_[kEndOfBlock + 1 + kLengths.slot[match.length]]++;
  distance_frequency_[SlotOf(match.distance)]++;
}

inline void WindowDeflater::Insert(const uint8_t* in, size_t at) {
  uint64_t& bucket = buckets_[Hash(Load32(in + at))];
  bucket = bucket << 16 | (at & 0xffff);
}

/// Longest match at `at` of more than `beat` bytes; length 0 = none.
inline WindowDeflater::Match WindowDeflater::Find(const uint8_t* in, size_t at, size_t end, uint32_t beat) {
  const uint8_t* const here = in + at;
  const uint32_t four = Load32(here);
  uint64_t& bucket = buckets_[Hash(four)];
  uint64_t positions = bucket;
  bucket = positions << 16 | (at & 0xffff);
  // All four at once and without branches: which of them match, and how far, is not predictable. Up to 8
  // bytes are compared at first; longer matches are rare enough for a loop.
  const uint64_t eight = Load64(here);
  uint32_t distances[4];
  uint32_t best_key = 0;
  uint32_t whole = 0;
  for (unsigned i = 0; i < 4; i++) {
    const uint32_t distance =
        (static_cast<uint32_t>(at) - static_cast<uint32_t>(positions >> 16 * i)) & 0xffff;
    const uint32_t near = 0U - static_cast<uint32_t>(distance - 1 < kMostDistance);
    const uint32_t back = distance & near;
    const uint64_t different = Load64(here - back) ^ eight;
    const uint32_t equal = static_cast<uint32_t>(different == 0);
    const auto first = static_cast<uint32_t>(__builtin_ctzll(different | uint64_t{1} << 63));
    const uint32_t key = (((first >> 3) + equal) << 12 | (kMostDistance - back)) & near;
    distances[i] = back;
    whole |= (equal & near) << i;
    best_key = std::max(best_key, key);
  }
  const uint32_t length = best_key >> 12;
  if (length <= beat) return {0, 0};
  if (whole == 0) return {length, kMostDistance - (best_key & 0xfff)};
  const auto most = static_cast<uint32_t>(std::min<size_t>(kMostMatch, end - at));
  Match best{0, 0};
  do {
    const uint32_t distance = distances[std::countr_zero(whole)];
    whole &= whole - 1;
    const uint8_t* const there = here - distance;
    uint32_t same = 8;
    for (;;) {
      if (same + 8 > most) {
        while (same < most && there[same] == here[same]) same++;
        break;
      }
      const uint64_t different = Load64(there + same) ^ Load64(here + same);
      if (different != 0) {
        same += static_cast<uint32_t>(std::countr_zero(different)) / 8;
        break;
      }
      same += 8;
    }
    if (same > best.length) best = {same, distance};
  } while (whole != 0);
  return best.length > beat ? best : Match{0, 0};
}

size_t WindowDeflater::Parse(const uint8_t* in, size_t at, size_t length) {
  // What one round of the loop can add beyond a full block: literals before better and better matches.
  static_assert(kGoodMatch - kLeastMatch + 1 < kSlack);
  memset(literal_frequency_, 0, sizeof literal_frequency_);
  memset(distance_frequency_, 0, sizeof distance_frequency_);
  count_ = 0;
  const size_t searchable = length >= kReadAhead ? length - kReadAhead : 0;
  uint32_t misses = 0;
  while (at < searchable && count_ < kBlockTokens) {
    Match match = Find(in, at, length, kLeastMatch - 1);
    if (match.length == 0) {
      // Where nothing has matched for long, nothing is likely to: look more rarely.
      const uint32_t step = 1 + (misses++ >> 8);
      for (uint32_t i = 0; i < step && at < length && count_ < kBlockTokens; i++) Literal(in[at++]);
      continue;
    }
    misses = 0;
    size_t inserted = at;
    while (match.length < kGoodMatch && at + 1 < searchable) {
      const Match next = Find(in, at + 1, length, match.length);
      inserted = at + 1;
      if (next.length == 0) break;
      Literal(in[at++]);
      match = next;
    }
    Copy(match);
    at += match.length;
    for (size_t i = inserted + 1; i < std::min(at, searchable); i++) Insert(in, i);
  }
  if (at >= searchable) {
    while (at < length && count_ < kBlockTokens + kSlack) Literal(in[at++]);
  }
  return at;
}

bool WindowDeflater::WriteBlock(BitWriter& out, bool last) {
  uint8_t literal_length[kLiteralSymbols];
  uint8_t distance_length[kDistanceSymbols];
  literal_frequency_[kEndOfBlock] = 1;
  CodeLengths(literal_frequency_, kLiteralSymbols, 15, literal_length);
  CodeLengths(distance_frequency_, kDistanceSymbols, 15, distance_length);
  const CodeHeader header(literal_length, distance_length);

  uint64_t size = out.count + header.bits();
  for (size_t i = 0; i < kLiteralSymbols; i++) {
    const unsigned extra = i > kEndOfBlock ? kLengths.extra[i - kEndOfBlock - 1] : 0U;
    size += uint64_t{literal_frequency_[i]} * (literal_length[i] + extra);
  }
  for (uint32_t i = 0; i < kDistanceSymbols; i++) {
    size += uint64_t{distance_frequency_[i]} * (distance_length[i] + DistanceExtra(i));
  }
  if ((size + 7) / 8 > static_cast<uint64_t>(out.end - out.out)) return false;
  header.Write(out, last);
  WriteTokens(out, literal_length, distance_length);
  return true;
}

void WindowDeflater::WriteTokens(BitWriter& out, const uint8_t* literal_length,
                                 const uint8_t* distance_length) const {
  uint16_t literal_code[kLiteralSymbols];
  uint16_t distance_code[kDistanceSymbols];
  Codes(literal_length, kLiteralSymbols, literal_code);
  Codes(distance_length, kDistanceSymbols, distance_code);
  // Code and extra bits of a length in one piece: bits << 8 | count.
  uint32_t length_bits[kMostMatch + 1];
  for (uint32_t length = 3; length <= kMostMatch; length++) {
    const unsigned slot = kLengths.slot[length];
    const unsigned symbol = kEndOfBlock + 1 + slot;
    const unsigned prefix = literal_length[symbol];
    const uint32_t extra = length - kLengths.base[slot];
    length_bits[length] = (literal_code[symbol] | extra << prefix) << 8 | (prefix + kLengths.extra[slot]);
  }

  for (size_t i = 0; i < count_; i++) {
    const uint32_t token = tokens_[i];
    if (token < 256) {
      out.Put(literal_code[token], literal_length[token]);
      if (i + 1 < count_ && tokens_[i + 1] < 256) {
        const uint32_t next = tokens_[++i];
        out.Put(literal_code[next], literal_length[next]);
      }
      out.Flush();
      continue;
    }
    const uint32_t length = length_bits[token & 0xffff];
    const uint32_t distance = token >> 16;
    const uint32_t slot = SlotOf(distance);
    const uint32_t extra = DistanceExtra(slot);
    out.Put(length >> 8, length & 0xff);
    out.Put(distance_code[slot], distance_length[slot]);
    out.Put((distance - 1) & ((1U << extra) - 1), extra);
    out.Flush();
  }
  out.Put(literal_code[kEndOfBlock], literal_length[kEndOfBlock]);
  out.Flush();
}

size_t WindowDeflater::Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  memset(buckets_, 0, sizeof buckets_);
  BitWriter bits{out, out + capacity};
  size_t at = 0;
  do {
    at = Parse(in, at, length);
    if (!WriteBlock(bits, at >= length)) return 0;
  } while (at < length);
  if (bits.count > 0) {
    if (bits.out == bits.end) return 0;
    *bits.out++ = static_cast<uint8_t>(bits.held);
  }
  return static_cast<size_t>(bits.out - out);
}

}  // namespace basecow
