#include "crypt/sector_cipher.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace basecow {

namespace {

constexpr size_t kBlocks = kCipherSector / kAesBlock;

/// Little-endian halves of a block, low one first.
using Block = uint64_t __attribute__((vector_size(16)));

static_assert(std::endian::native == std::endian::little, "vectors are little-endian numbers");

Block Load(const uint8_t* from) {
  Block block;
  memcpy(&block, from, sizeof block);
  return block;
}

void Store(uint8_t* to, Block block) {
  memcpy(to, &block, sizeof block);
}

/// Times x in GF(2^128), IEEE 1619 section 5.2.
Block Doubled(Block block) {
  const Block top = block >> 63;
  const Block carry = (Block{} - Block{top[1], top[0]}) & Block{0x87, 1};
  return (block << 1) ^ carry;
}

void XorInto(uint8_t* out, const uint8_t* one, const uint8_t* two, size_t length) {
  for (size_t i = 0; i < length; i += kAesBlock) Store(out + i, Load(one + i) ^ Load(two + i));
}

/// out = in ^ masks for `kSectors` sectors side by side, since each mask is made of the one before.
template <size_t kSectors>
void XtsMasks(const uint8_t* tweaks, const uint8_t* in, uint8_t* out, uint8_t* masks, size_t blocks) {
  Block mask[kSectors];
  for (size_t s = 0; s < kSectors; s++) mask[s] = Load(tweaks + s * kAesBlock);
  for (size_t j = 0; j < blocks; j++) {
    for (size_t s = 0; s < kSectors; s++) {
      const size_t at = s * kCipherSector + j * kAesBlock;
      Store(masks + at, mask[s]);
      Store(out + at, Load(in + at) ^ mask[s]);
      mask[s] = Doubled(mask[s]);
    }
  }
}

}  // namespace

SectorCipher::~SectorCipher() {
  explicit_bzero(vectors_, sizeof vectors_);
  explicit_bzero(scratch_, sizeof scratch_);
}

Status SectorCipher::Keyed(Aes& aes, const uint8_t* key, size_t bytes, Aes::Direction direction) {
  return aes.started() ? Status::Ok() : aes.Start(key, bytes, direction);
}

Status SectorCipher::Run(Aes::Direction direction, const uint8_t* in, uint8_t* out, size_t length,
                         uint64_t sector) {
  const CipherMode mode = cipher_.mode;
  const size_t bytes = mode == CipherMode::kXts ? cipher_.key.size() / 2 : cipher_.key.size();
  // CTR only ever encrypts its counters.
  const bool encrypts = direction == Aes::Direction::kEncrypt || mode == CipherMode::kCtr;
  Aes& aes = encrypts ? encrypt_ : decrypt_;
  BASECOW_TRY(
      Keyed(aes, cipher_.key.data(), bytes, encrypts ? Aes::Direction::kEncrypt : Aes::Direction::kDecrypt));
  for (size_t at = 0; at < length;) {
    const size_t some = std::min(length - at, kBatchBytes);
    if (mode != CipherMode::kEcb) {
      BASECOW_TRY(Vectors(sector + at / kCipherSector, (some + kCipherSector - 1) / kCipherSector));
    }
    Status status;
    switch (mode) {
      case CipherMode::kEcb:
        status = aes.Blocks(in + at, out + at, some);
        break;
      case CipherMode::kCbc:
        status =
            encrypts ? CbcEncrypt(aes, in + at, out + at, some) : CbcDecrypt(aes, in + at, out + at, some);
        break;
      case CipherMode::kXts:
        status = Xts(aes, in + at, out + at, some);
        break;
      case CipherMode::kCtr:
        status = Ctr(aes, in + at, out + at, some);
        break;
    }
    BASECOW_TRY(status);
    at += some;
  }
  return Status::Ok();
}

Status SectorCipher::Vectors(uint64_t sector, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t number = sector + i;
    if (cipher_.iv == IvKind::kNone) number = 0;
    if (cipher_.iv == IvKind::kPlain) number &= UINT32_MAX;
    Store(vectors_ + i * kAesBlock, Block{number, 0});
  }
  if (cipher_.iv != IvKind::kEssiv) return Status::Ok();
  BASECOW_TRY(Keyed(essiv_, cipher_.iv_key.data(), cipher_.iv_key.size(), Aes::Direction::kEncrypt));
  return essiv_.Blocks(vectors_, vectors_, count * kAesBlock);
}

Status SectorCipher::Xts(Aes& aes, const uint8_t* in, uint8_t* out, size_t length) {
  const size_t half = cipher_.key.size() / 2;
  BASECOW_TRY(Keyed(tweak_, cipher_.key.data() + half, half, Aes::Direction::kEncrypt));
  const size_t count = (length + kCipherSector - 1) / kCipherSector;
  BASECOW_TRY(tweak_.Blocks(vectors_, vectors_, count * kAesBlock));
  constexpr size_t kSide = 4;
  size_t s = 0;
  for (; (s + kSide) * kCipherSector <= length; s += kSide) {
    const size_t at = s * kCipherSector;
    XtsMasks<kSide>(vectors_ + s * kAesBlock, in + at, out + at, scratch_ + at, kBlocks);
  }
  for (; s < count; s++) {
    const size_t at = s * kCipherSector;
    const size_t blocks = std::min<size_t>(length - at, kCipherSector) / kAesBlock;
    XtsMasks<1>(vectors_ + s * kAesBlock, in + at, out + at, scratch_ + at, blocks);
  }
  BASECOW_TRY(aes.Blocks(out, out, length));
  XorInto(out, out, scratch_, length);
  return Status::Ok();
}

Status SectorCipher::CbcEncrypt(Aes& aes, const uint8_t* in, uint8_t* out, size_t length) {
  // A block needs the one before it in its sector, so block j of all sectors goes in one call.
  uint8_t* const last = vectors_;
  size_t count = (length + kCipherSector - 1) / kCipherSector;
  for (size_t j = 0; j < kBlocks; j++) {
    // A short last sector has fewer.
    while (count > 0 && (count - 1) * kCipherSector + j * kAesBlock >= length) count--;
    if (count == 0) break;
    for (size_t s = 0; s < count; s++) {
      uint8_t* const block = last + s * kAesBlock;
      Store(block, Load(block) ^ Load(in + s * kCipherSector + j * kAesBlock));
    }
    BASECOW_TRY(aes.Blocks(last, last, count * kAesBlock));
    for (size_t s = 0; s < count; s++) {
      Store(out + s * kCipherSector + j * kAesBlock, Load(last + s * kAesBlock));
    }
  }
  return Status::Ok();
}

Status SectorCipher::CbcDecrypt(Aes& aes, const uint8_t* in, uint8_t* out, size_t length) {
  memcpy(scratch_, in, length);
  BASECOW_TRY(aes.Blocks(scratch_, out, length));
  for (size_t at = 0; at < length; at += kCipherSector) {
    const uint8_t* const vector = vectors_ + at / kCipherSector * kAesBlock;
    Store(out + at, Load(out + at) ^ Load(vector));
    const size_t rest = std::min<size_t>(length - at, kCipherSector) - kAesBlock;
    XorInto(out + at + kAesBlock, out + at + kAesBlock, scratch_ + at, rest);
  }
  return Status::Ok();
}

Status SectorCipher::Ctr(Aes& aes, const uint8_t* in, uint8_t* out, size_t length) {
  for (size_t at = 0; at < length; at += kAesBlock) {
    const uint8_t* const vector = vectors_ + at / kCipherSector * kAesBlock;
    uint64_t high;
    uint64_t low;
    memcpy(&high, vector, 8);
    memcpy(&low, vector + 8, 8);
    // The counter is big-endian and begins at the vector.
    high = __builtin_bswap64(high);
    low = __builtin_bswap64(low);
    const uint64_t sum = low + at % kCipherSector / kAesBlock;
    if (sum < low) high++;
    Store(scratch_ + at, Block{__builtin_bswap64(high), __builtin_bswap64(sum)});
  }
  BASECOW_TRY(aes.Blocks(scratch_, scratch_, length));
  XorInto(out, in, scratch_, length);
  return Status::Ok();
}

}  // namespace basecow
