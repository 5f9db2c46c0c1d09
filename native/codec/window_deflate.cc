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
constexpr uint32_t kWindow = 4096;
/// Four literals then fit between two flushes.
constexpr unsigned kMostBits = 14;
/// A match this long is taken without looking for a better one at the next byte.
constexpr uint32_t kGoodMatch = 6;
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

/// The upper 11 bits choose the bucket; the 4 below them are kept in the entry.
inline uint32_t Hash(uint32_t four) {
  return four * 0x9e3779b1U;
}

inline uint32_t Entry(uint32_t hash, size_t at) {
  return (hash >> 5 & 0xf000) | static_cast<uint32_t>(at & (kWindow - 1));
}

/// Bytes that both places have in common, at most `most`; the first 8 are known to be.
inline uint32_t SameBytes(const uint8_t* here, const uint8_t* there, uint32_t most) {
  uint32_t same = 8;
  while (same + 8 <= most) {
    const uint64_t different = Load64(there + same) ^ Load64(here + same);
    if (different != 0) return same + static_cast<uint32_t>(std::countr_zero(different)) / 8;
    same += 8;
  }
  while (same < most && there[same] == here[same]) same++;
  return same;
}

}  // namespace

inline void WindowDeflater::Insert(const uint8_t* in, size_t at) {
  const uint32_t hash = Hash(Load32(in + at));
  uint64_t& bucket = buckets_[hash >> 21];
  bucket = bucket << 16 | Entry(hash, at);
}

/// Longest match at `at` of more than `beat` bytes; length 0 = none.
inline WindowDeflater::Match WindowDeflater::Find(const uint8_t* in, size_t at, size_t end, uint32_t beat) {
  const uint8_t* const here = in + at;
  const uint32_t hash = Hash(Load32(here));
  uint64_t& bucket = buckets_[hash >> 21];
  const uint32_t entry = Entry(hash, at);
  const uint64_t entries = bucket;
  bucket = entries << 16 | entry;
  // Lanes of 16 bits whose upper 4 differ from this hash's; no carry leaves a lane.
  const uint64_t unlike = (entries ^ (entry >> 12) * 0x1000100010001000U) >> 1 & 0x7800780078007800U;
  uint64_t like = ~(unlike + 0x7800780078007800U) & 0x8000800080008000U;
  Match best{0, 0};
  if (like == 0) return best;
  const auto most = static_cast<uint32_t>(std::min<size_t>(kMostMatch, end - at));
  const uint64_t eight = Load64(here);
  do {
    const int lane = std::countr_zero(like) & 0x30;
    like &= like - 1;
    const uint32_t distance = static_cast<uint32_t>(at - (entries >> lane)) & (kWindow - 1);
    if (distance == 0) continue;
    const uint8_t* const there = here - distance;
    const uint64_t different = Load64(there) ^ eight;
    const uint32_t same = different != 0 ? static_cast<uint32_t>(std::countr_zero(different)) / 8
                                         : SameBytes(here, there, most);
    if (same > beat) {
      best = {same, distance};
      beat = same;
    }
  } while (like != 0);
  return best;
}

size_t WindowDeflater::Parse(const uint8_t* in, size_t at, size_t length) {
  memset(literal_frequency_, 0, sizeof literal_frequency_);
  memset(distance_frequency_, 0, sizeof distance_frequency_);
  const size_t searchable = length >= kReadAhead ? length - kReadAhead : 0;
  Sequence* sequence = sequences_;
  size_t begin = at;
  size_t symbols = 0;
  uint32_t misses = misses_;
  while (at < searchable && symbols < kBlockSymbols && sequence != sequences_ + kBlockSequences) {
    Match match = Find(in, at, length, kLeastMatch - 1);
    if (match.length == 0) {
      // Where nothing has matched for long, nothing is likely to: look more rarely.
      const size_t step = std::min<size_t>(1 + (misses++ >> 6), length - at);
      symbols += step;
      for (size_t i = 0; i < step; i++) literal_frequency_[in[at++]]++;
      continue;
    }
    misses = 0;
    size_t inserted = at;
    while (match.length < kGoodMatch && at + 1 < searchable) {
      const Match next = Find(in, at + 1, length, match.length);
      inserted = at + 1;
      if (next.length == 0) break;
      literal_frequency_[in[at++]]++;
      symbols++;
      match = next;
    }
    *sequence++ = {static_cast<uint32_t>(at - begin), static_cast<uint16_t>(match.length),
                   static_cast<uint16_t>(match.distance)};
    literal_frequency_[kEndOfBlock + 1 + kLengths.slot[match.length]]++;
    distance_frequency_[SlotOf(match.distance)]++;
    symbols++;
    at += match.length;
    begin = at;
    const size_t until = std::min(at, searchable);
    for (size_t i = inserted + 1; i < until; i++) Insert(in, i);
  }
  if (at >= searchable) {
    while (at < length) literal_frequency_[in[at++]]++;
  }
  *sequence++ = {static_cast<uint32_t>(at - begin), 0, 0};
  count_ = static_cast<size_t>(sequence - sequences_);
  misses_ = misses;
  return at;
}

bool WindowDeflater::WriteBlock(const uint8_t* in, BitWriter& out, bool last) {
  uint8_t literal_length[kLiteralSymbols];
  uint8_t distance_length[kDistanceSymbols];
  literal_frequency_[kEndOfBlock] = 1;
  CodeLengths(literal_frequency_, kLiteralSymbols, kMostBits, literal_length);
  CodeLengths(distance_frequency_, kDistanceSymbols, kMostBits, distance_length);
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
  WriteSequences(in, out, literal_length, distance_length);
  return true;
}

void WindowDeflater::WriteSequences(const uint8_t* in, BitWriter& to, const uint8_t* literal_length,
                                    const uint8_t* distance_length) const {
  uint16_t literal_code[kLiteralSymbols];
  uint16_t distance_code[kDistanceSymbols];
  Codes(literal_length, kLiteralSymbols, literal_code);
  Codes(distance_length, kDistanceSymbols, distance_code);
  // Code and number of bits in one piece: bits << 8 | count.
  uint32_t literal_bits[kEndOfBlock];
  for (unsigned i = 0; i < kEndOfBlock; i++)
    literal_bits[i] = uint32_t{literal_code[i]} << 8 | literal_length[i];
  uint32_t length_bits[kMostMatch + 1];
  for (uint32_t length = 3; length <= kMostMatch; length++) {
    const unsigned slot = kLengths.slot[length];
    const unsigned symbol = kEndOfBlock + 1 + slot;
    const unsigned prefix = literal_length[symbol];
    const uint32_t extra = length - kLengths.base[slot];
    length_bits[length] = (literal_code[symbol] | extra << prefix) << 8 | (prefix + kLengths.extra[slot]);
  }

  BitWriter out = to;
  const auto put = [&](uint32_t bits) { out.Put(bits >> 8, bits & 0xff); };
  for (size_t i = 0; i < count_; i++) {
    const Sequence sequence = sequences_[i];
    uint32_t literals = sequence.literals;
    for (; literals >= 4; literals -= 4, in += 4) {
      put(literal_bits[in[0]]);
      put(literal_bits[in[1]]);
      put(literal_bits[in[2]]);
      put(literal_bits[in[3]]);
      out.Flush();
    }
    if (literals != 0) {
      put(literal_bits[*in++]);
      if (literals > 1) put(literal_bits[*in++]);
      if (literals > 2) put(literal_bits[*in++]);
      out.Flush();
    }
    if (sequence.length == 0) break;
    in += sequence.length;
    const uint32_t distance = sequence.distance;
    const uint32_t slot = SlotOf(distance);
    const uint32_t extra = DistanceExtra(slot);
    put(length_bits[sequence.length]);
    out.Put(distance_code[slot], distance_length[slot]);
    out.Put((distance - 1) & ((1U << extra) - 1), extra);
    out.Flush();
  }
  out.Put(literal_code[kEndOfBlock], literal_length[kEndOfBlock]);
  out.Flush();
  to = out;
}

size_t WindowDeflater::Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  memset(buckets_, 0, sizeof buckets_);
  misses_ = 0;
  BitWriter bits{out, out + capacity};
  size_t at = 0;
  do {
    const size_t begin = at;
    at = Parse(in, at, length);
    if (!WriteBlock(in + begin, bits, at >= length)) return 0;
  } while (at < length);
  if (bits.count > 0) {
    if (bits.out == bits.end) return 0;
    *bits.out++ = static_cast<uint8_t>(bits.held);
  }
  return static_cast<size_t>(bits.out - out);
}

}  // namespace basecow
