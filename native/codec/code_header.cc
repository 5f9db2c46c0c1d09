#include "codec/code_header.h"

#include <algorithm>
#include <cstring>

#include "codec/huffman.h"

namespace basecow {

namespace {

/// Symbols 16, 17 and 18: repeat the length before; zeros; many zeros.
constexpr unsigned kRepeat = 16;
constexpr unsigned kZeros = 17;
constexpr unsigned kManyZeros = 18;
constexpr uint8_t kExtraBits[3] = {2, 3, 7};
/// Order in which the lengths of this code itself are written.
constexpr uint8_t kOrder[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

unsigned ExtraBits(unsigned symbol) {
  return symbol < kRepeat ? 0 : kExtraBits[symbol - kRepeat];
}

}  // namespace

CodeHeader::CodeHeader(const uint8_t* literal_length, const uint8_t* distance_length) {
  while (literals_ > 257 && literal_length[literals_ - 1] == 0) literals_--;
  while (distances_ > 1 && distance_length[distances_ - 1] == 0) distances_--;
  uint8_t all[kLiteralSymbols + kDistanceSymbols];
  memcpy(all, literal_length, literals_);
  memcpy(all + literals_, distance_length, distances_);

  const size_t total = literals_ + distances_;
  for (size_t at = 0; at < total;) {
    size_t left = 1;
    while (at + left < total && all[at + left] == all[at]) left++;
    const uint8_t value = all[at];
    at += left;
    if (value != 0) {
      Add(value, 0);
      left--;
    }
    while (left >= 3) {
      const size_t most = value != 0 ? 6 : 138;
      const size_t some = std::min(left, most);
      if (value != 0) {
        Add(kRepeat, some - 3);
      } else {
        Add(some < 11 ? kZeros : kManyZeros, some < 11 ? some - 3 : some - 11);
      }
      left -= some;
    }
    for (; left > 0; left--) Add(value, 0);
  }

  uint32_t frequency[19] = {};
  for (size_t i = 0; i < run_count_; i++) frequency[runs_[i].symbol]++;
  CodeLengths(frequency, 19, 7, length_);
  Codes(length_, 19, code_);
  while (codes_ > 4 && length_[kOrder[codes_ - 1]] == 0) codes_--;
  bits_ = 3 + 5 + 5 + 4 + 3 * codes_;
  for (unsigned symbol = 0; symbol < 19; symbol++) {
    bits_ += uint64_t{frequency[symbol]} * (length_[symbol] + ExtraBits(symbol));
  }
}

void CodeHeader::Write(BitWriter& out, bool last) const {
  constexpr uint64_t kDynamic = 2;
  out.Put((last ? 1U : 0U) | kDynamic << 1, 3);
  out.Put(literals_ - 257, 5);
  out.Put(distances_ - 1, 5);
  out.Put(codes_ - 4, 4);
  out.Flush();
  for (size_t i = 0; i < codes_; i++) {
    out.Put(length_[kOrder[i]], 3);
    out.Flush();
  }
  for (size_t i = 0; i < run_count_; i++) {
    const Run run = runs_[i];
    out.Put(code_[run.symbol], length_[run.symbol]);
    out.Put(run.extra, ExtraBits(run.symbol));
    out.Flush();
  }
}

}  // namespace basecow
