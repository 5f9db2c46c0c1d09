#include "crypt/cipher.h"

#include <cstring>

namespace basecow {

namespace {

bool IsAesKey(size_t bytes) {
  return bytes == 16 || bytes == 24 || bytes == 32;
}

}  // namespace

void Secret::Wipe() {
  if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
  bytes_.clear();
}

const char* WhyInvalid(const Cipher& cipher) {
  const size_t keys = cipher.mode == CipherMode::kXts ? 2 : 1;
  if (cipher.key.size() % keys != 0 || !IsAesKey(cipher.key.size() / keys)) {
    return "with a key of 16, 24 or 32 bytes, twice that for xts";
  }
  if (cipher.iv == IvKind::kEssiv && cipher.mode != CipherMode::kEcb && !IsAesKey(cipher.iv_key.size())) {
    return "with an ivKey of 16, 24 or 32 bytes for essiv";
  }
  if (!cipher.by_guest && cipher.origin < 0) return "with an origin inside the file";
  return nullptr;
}

}  // namespace basecow
