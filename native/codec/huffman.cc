#include "codec/huffman.h"

#include <algorithm>

namespace basecow {

namespace {

constexpr unsigned kMostBits = 15;
constexpr uint32_t kNone = UINT32_MAX;

struct Leaf {
  uint32_t weight;
  uint32_t symbol;
};

struct ReverseTable {
  uint8_t of[256];
  constexpr ReverseTable() : of() {
    for (unsigned i = 0; i < 256; i++) {
      for (unsigned bit = 0; bit < 8; bit++) of[i] |= static_cast<uint8_t>((i >> bit & 1) << (7 - bit));
    }
  }
};
constexpr ReverseTable kReverse;

uint16_t Reverse(uint32_t code, unsigned bits) {
  const uint32_t reversed = uint32_t{kReverse.of[code & 0xff]} << 8 | kReverse.of[code >> 8];
  return static_cast<uint16_t>(reversed >> (16 - bits));
}

/// By weight, then in the order they come in. Branches on weights cannot be predicted; counting has none.
/// `other` has the same room; returns which of both holds the result.
Leaf* SortByWeight(Leaf* leaves, Leaf* other, size_t count, uint32_t all_bits) {
  for (unsigned shift = 0; shift < 32 && all_bits >> shift != 0; shift += 8) {
    uint16_t place[256] = {};
    for (size_t i = 0; i < count; i++) place[leaves[i].weight >> shift & 0xff]++;
    uint16_t next = 0;
    for (uint16_t& begin : place) {
      const uint16_t some = begin;
      begin = next;
      next = static_cast<uint16_t>(next + some);
    }
    for (size_t i = 0; i < count; i++) other[place[leaves[i].weight >> shift & 0xff]++] = leaves[i];
    std::swap(leaves, other);
  }
  return leaves;
}

/// Depth of every leaf, which are sorted by weight, in the tree of Huffman's algorithm.
void Depths(const Leaf* leaves, size_t count, uint16_t* depth) {
  // Two queues: leaves by weight, inner nodes in the order they are made, which is by weight too.
  uint32_t inner[kMostSymbols + 1];
  uint16_t parent[2 * kMostSymbols];
  std::fill_n(inner, count + 1, kNone);
  size_t leaf = 0;
  size_t node = 0;
  for (size_t made = 0; made + 1 < count; made++) {
    uint32_t weight = 0;
    for (int child = 0; child < 2; child++) {
      // The sentinels behind both queues are never the lesser.
      const bool take_leaf = leaves[leaf].weight <= inner[node];
      weight += take_leaf ? leaves[leaf].weight : inner[node];
      parent[take_leaf ? leaf : count + node] = static_cast<uint16_t>(made);
      leaf += take_leaf ? 1 : 0;
      node += take_leaf ? 0 : 1;
    }
    inner[made] = weight;
  }
  // From the root, the last that was made, down.
  uint16_t inner_depth[kMostSymbols];
  inner_depth[count - 2] = 0;
  for (size_t i = count - 2; i-- > 0;) {
    inner_depth[i] = static_cast<uint16_t>(inner_depth[parent[count + i]] + 1);
  }
  for (size_t i = 0; i < count; i++) depth[i] = static_cast<uint16_t>(inner_depth[parent[i]] + 1);
}

}  // namespace

void CodeLengths(const uint32_t* frequency, size_t symbols, unsigned limit, uint8_t* length) {
  Leaf room[2][kMostSymbols + 1];
  size_t used = 0;
  uint32_t all_bits = 0;
  for (size_t symbol = 0; symbol < symbols; symbol++) {
    length[symbol] = 0;
    room[0][used] = {frequency[symbol], static_cast<uint32_t>(symbol)};
    used += frequency[symbol] != 0 ? 1 : 0;
    all_bits |= frequency[symbol];
  }
  if (used < 2) {
    const size_t only = used == 0 ? 0 : room[0][0].symbol;
    length[only] = 1;
    length[only == 0 ? 1 : 0] = 1;
    return;
  }
  Leaf* const leaves = SortByWeight(room[0], room[1], used, all_bits);
  leaves[used].weight = kNone;
  uint16_t depth[kMostSymbols];
  Depths(leaves, used, depth);
  uint32_t count[kMostBits + 1] = {};
  for (size_t i = 0; i < used; i++) count[std::min<unsigned>(depth[i], limit)]++;

  // Codes cut to the limit leave too many: take places back from shorter lengths until they all fit.
  uint32_t total = 0;
  for (unsigned bits = 1; bits <= limit; bits++) total += count[bits] << (limit - bits);
  while (total > 1U << limit) {
    unsigned bits = limit - 1;
    while (count[bits] == 0) bits--;
    count[bits]--;
    count[bits + 1] += 2;
    count[limit]--;
    total--;
  }

  // Rarest symbols get the longest codes.
  size_t at = 0;
  for (unsigned bits = limit; bits >= 1; bits--) {
    for (uint32_t i = 0; i < count[bits]; i++) length[leaves[at++].symbol] = static_cast<uint8_t>(bits);
  }
}

void Codes(const uint8_t* length, size_t symbols, uint16_t* code) {
  uint32_t count[kMostBits + 1] = {};
  for (size_t symbol = 0; symbol < symbols; symbol++) count[length[symbol]]++;
  count[0] = 0;
  uint32_t next[kMostBits + 2] = {};
  for (unsigned bits = 1; bits <= kMostBits; bits++) next[bits + 1] = (next[bits] + count[bits]) << 1;
  // Symbols without a code count on in next[0], which nothing reads, and shift theirs out.
  for (size_t symbol = 0; symbol < symbols; symbol++) {
    const unsigned bits = length[symbol];
    code[symbol] = Reverse(next[bits]++ & 0x7fff, bits);
  }
}

}  // namespace basecow
