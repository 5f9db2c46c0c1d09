#include "hash/md5.h"

#include <algorithm>
#include <cstring>

#include "hash/md5_many.h"
#include "hash/md5_padding.h"

namespace basecow {

void Md5::Reset() {
  memcpy(state_, kMd5Initial, sizeof(state_));
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
  uint8_t tail[kMd5TailBytes];
  kernels_->one(state_, tail, Md5Tail(pending_, length_, tail));
  for (size_t i = 0; i < kMd5Bytes; ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (8 * (i % 4)));
  Reset();
}

void Md5Pair::Update(const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  const Md5Feed feeds[2] = {{&first_, bytes, length}, {&second_, bytes, length}};
  Md5UpdateMany(feeds, 2);
}

}  // namespace basecow
