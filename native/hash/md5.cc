#include "hash/md5.h"

#include <algorithm>
#include <cstring>

namespace basecow {

namespace {

constexpr uint32_t kInitial[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

}  // namespace

const Md5Kernels& PickMd5Kernels() {
  return PortableMd5Kernels();
}

void Md5::Reset() {
  memcpy(state_, kInitial, sizeof(state_));
  length_ = 0;
}

void Md5::Update(const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  const size_t waiting = length_ % kMd5Block;
  length_ += length;
  if (waiting != 0) {
    const size_t taken = std::min(length, kMd5Block - waiting);
    memcpy(pending_ + waiting, bytes, taken);
    bytes += taken;
    length -= taken;
    if (waiting + taken < kMd5Block) return;
    kernels_->one(state_, pending_, 1);
  }
  const size_t blocks = length / kMd5Block;
  if (blocks != 0) kernels_->one(state_, bytes, blocks);
  const size_t rest = length % kMd5Block;
  if (rest != 0) memcpy(pending_, bytes + blocks * kMd5Block, rest);
}

void Md5::Final(uint8_t digest[kMd5Bytes]) {
  // RFC 1321, 3.1 and 3.2: a one bit, zeros to 56 mod 64, then the length in bits, low byte first.
  uint8_t padding[2 * kMd5Block] = {0x80};
  const size_t waiting = length_ % kMd5Block;
  const size_t zeros_end = waiting < 56 ? 56 - waiting : 120 - waiting;
  const uint64_t bits = length_ * 8;
  for (size_t i = 0; i < 8; ++i) padding[zeros_end + i] = static_cast<uint8_t>(bits >> (8 * i));
  Update(padding, zeros_end + 8);
  for (size_t i = 0; i < kMd5Bytes; ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (8 * (i % 4)));
  Reset();
}

void Md5Pair::Update(const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  const size_t waiting = first_.length_ % kMd5Block;
  if (waiting == second_.length_ % kMd5Block) {
    // Bring both to a block boundary, then run them side by side.
    const size_t head = std::min(length, (kMd5Block - waiting) % kMd5Block);
    first_.Update(bytes, head);
    second_.Update(bytes, head);
    bytes += head;
    length -= head;
    const size_t blocks = length / kMd5Block;
    if (blocks != 0) {
      first_.kernels_->two(first_.state_, bytes, second_.state_, bytes, blocks);
      const size_t whole = blocks * kMd5Block;
      first_.length_ += whole;
      second_.length_ += whole;
      bytes += whole;
      length -= whole;
    }
  }
  first_.Update(bytes, length);
  second_.Update(bytes, length);
}

}  // namespace basecow
