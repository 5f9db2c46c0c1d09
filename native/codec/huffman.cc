#include "codec/huffman.h"

#include <algorithm>

namespace basecow {

namespace {

constexpr unsigned kMostBits = 15;

struct Node {
  uint32_t weight;
  /// Of the parent in the array of inner nodes.
  uint16_t parent;
};

uint16_t Reverse(uint32_t code, unsigned bits) {
  uint32_t reversed = 0;
  for (unsigned i = 0; i < bits; i++) reversed |= (code >> i & 1) << (bits - 1 - i);
  return static_cast<uint16_t>(reversed);
}

}  // namespace

void CodeLengths(const uint32_t* frequency, size_t symbols, unsigned limit, uint8_t* length) {
  // Weight in the upper bits, symbol in the lower: one sort orders by weight, then symbol.
  uint64_t leaves[kMostSymbols];
  size_t used = 0;
  for (size_t symbol = 0; symbol < symbols; symbol++) {
    length[symbol] = 0;
    if (frequency[symbol] != 0) leaves[used++] = uint64_t{frequency[symbol]} << 16 | symbol;
  }
  if (used < 2) {
    const size_t only = used == 0 ? 0 : leaves[0] & 0xffff;
    length[only] = 1;
    length[only == 0 ? 1 : 0] = 1;
    return;
  }
  std::sort(leaves, leaves + used);

  // Two queues: leaves by weight, inner nodes in the order they are made, which is by weight too.
  Node inner[kMostSymbols];
  uint16_t leaf_parent[kMostSymbols];
  size_t leaf = 0;
  size_t node = 0;
  const size_t inners = used - 1;
  for (size_t made = 0; made < inners; made++) {
    uint32_t weight = 0;
    for (int child = 0; child < 2; child++) {
      const bool take_leaf =
          leaf < used && (node >= made || static_cast<uint32_t>(leaves[leaf] >> 16) <= inner[node].weight);
      if (take_leaf) {
        weight += static_cast<uint32_t>(leaves[leaf] >> 16);
        leaf_parent[leaf++] = static_cast<uint16_t>(made);
      } else {
        weight += inner[node].weight;
        inner[node++].parent = static_cast<uint16_t>(made);
      }
    }
    inner[made].weight = weight;
  }

  // Depths from the root down; the weights are not needed any more.
  uint32_t count[kMostBits + 1] = {};
  inner[inners - 1].weight = 0;
  for (size_t i = inners - 1; i-- > 0;) inner[i].weight = inner[inner[i].parent].weight + 1;
  for (size_t i = 0; i < used; i++) count[std::min(inner[leaf_parent[i]].weight + 1, limit)]++;

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
    for (uint32_t i = 0; i < count[bits]; i++) length[leaves[at++] & 0xffff] = static_cast<uint8_t>(bits);
  }
}

void Codes(const uint8_t* length, size_t symbols, uint16_t* code) {
  uint32_t count[kMostBits + 1] = {};
  for (size_t symbol = 0; symbol < symbols; symbol++) count[length[symbol]]++;
  count[0] = 0;
  uint32_t next[kMostBits + 2] = {};
  for (unsigned bits = 1; bits <= kMostBits; bits++) next[bits + 1] = (next[bits] + count[bits]) << 1;
  for (size_t symbol = 0; symbol < symbols; symbol++) {
    const unsigned bits = length[symbol];
    code[symbol] = bits == 0 ? 0 : Reverse(next[bits]++, bits);
  }
}

}  // namespace basecow
