// Encrypts and decrypts sectors. One per thread: key schedules are made once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "crypt/aes.h"
#include "crypt/cipher.h"

namespace basecow {

class SectorCipher {
 public:
  /// `cipher` must outlive it.
  explicit SectorCipher(const Cipher& cipher) : cipher_(cipher) {}
  ~SectorCipher();
  SectorCipher(const SectorCipher&) = delete;
  SectorCipher& operator=(const SectorCipher&) = delete;

  [[nodiscard]] const Cipher& cipher() const { return cipher_; }

  /// Whole sectors, the first of which has number `sector`; the last may be short, but whole AES blocks.
  /// `out` may be `in`; else they do not overlap.
  Status Encrypt(const uint8_t* in, uint8_t* out, size_t length, uint64_t sector) {
    return Run(Aes::Direction::kEncrypt, in, out, length, sector);
  }
  Status Decrypt(const uint8_t* in, uint8_t* out, size_t length, uint64_t sector) {
    return Run(Aes::Direction::kDecrypt, in, out, length, sector);
  }

 private:
  /// Sectors of one go: bytes and their masks stay in the first-level cache.
  static constexpr size_t kBatch = 16;
  static constexpr size_t kBatchBytes = kBatch * kCipherSector;

  Status Run(Aes::Direction direction, const uint8_t* in, uint8_t* out, size_t length, uint64_t sector);
  /// Of `count` sectors.
  Status Vectors(uint64_t sector, size_t count);
  Status Xts(Aes& aes, const uint8_t* in, uint8_t* out, size_t length);
  Status CbcEncrypt(Aes& aes, const uint8_t* in, uint8_t* out, size_t length);
  Status CbcDecrypt(Aes& aes, const uint8_t* in, uint8_t* out, size_t length);
  Status Ctr(Aes& aes, const uint8_t* in, uint8_t* out, size_t length);
  Status Keyed(Aes& aes, const uint8_t* key, size_t bytes, Aes::Direction direction);

  const Cipher& cipher_;
  Aes encrypt_;
  Aes decrypt_;
  /// XTS: the second key. ESSIV: the vectors'.
  Aes tweak_;
  Aes essiv_;
  alignas(64) uint8_t vectors_[kBatch * kAesBlock];
  alignas(64) uint8_t scratch_[kBatchBytes];
};

}  // namespace basecow
