// Sectors by OpenSSL's own modes, one call each: the judge of ours, which are made of its ECB alone.
#pragma once

#include <dlfcn.h>

#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "crypt/sector_cipher.h"

namespace test {

/// node carries OpenSSL itself; a test program has to load one.
inline void* OpenSsl() {
  static void* library = [] {
    void* three = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
    return three != nullptr ? three : dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_GLOBAL);
  }();
  CHECK(library != nullptr);
  return library;
}

template <typename Function>
Function OpenSslFunction(const std::string& name) {
  return reinterpret_cast<Function>(dlsym(OpenSsl(), name.c_str()));
}

/// `type`: such as `EVP_aes_128_xts`.
inline std::vector<uint8_t> OpenSslCipher(const std::string& type, const uint8_t* key, const uint8_t* iv,
                                          const std::vector<uint8_t>& in, bool encrypt) {
  void* context = OpenSslFunction<void* (*)()>("EVP_CIPHER_CTX_new")();
  const void* what = OpenSslFunction<const void* (*)()>(type)();
  auto init = OpenSslFunction<int (*)(void*, const void*, void*, const uint8_t*, const uint8_t*, int)>(
      "EVP_CipherInit_ex");
  CHECK_EQ(init(context, what, nullptr, key, iv, encrypt ? 1 : 0), 1);
  OpenSslFunction<int (*)(void*, int)>("EVP_CIPHER_CTX_set_padding")(context, 0);
  std::vector<uint8_t> out(in.size());
  int length = 0;
  auto update = OpenSslFunction<int (*)(void*, uint8_t*, int*, const uint8_t*, int)>("EVP_CipherUpdate");
  CHECK_EQ(update(context, out.data(), &length, in.data(), static_cast<int>(in.size())), 1);
  CHECK_EQ(static_cast<size_t>(length), in.size());
  OpenSslFunction<void (*)(void*)>("EVP_CIPHER_CTX_free")(context);
  return out;
}

/// Whole sectors and perhaps a short one of whole blocks.
inline std::vector<uint8_t> JudgedSectors(const basecow::Cipher& cipher, const std::vector<uint8_t>& in,
                                          uint64_t sector, bool encrypt) {
  const bool xts = cipher.mode == basecow::CipherMode::kXts;
  static constexpr const char* kModes[] = {"ecb", "cbc", "xts", "ctr"};
  const size_t bits = cipher.key.size() * 8 / (xts ? 2 : 1);
  const std::string type = "EVP_aes_" + std::to_string(bits) + "_" + kModes[static_cast<size_t>(cipher.mode)];
  std::vector<uint8_t> out;
  for (size_t at = 0; at < in.size(); at += basecow::kCipherSector, sector++) {
    uint64_t number = sector;
    if (cipher.iv == basecow::IvKind::kNone) number = 0;
    if (cipher.iv == basecow::IvKind::kPlain) number &= 0xffffffff;
    std::vector<uint8_t> iv(16);
    memcpy(iv.data(), &number, 8);
    if (cipher.iv == basecow::IvKind::kEssiv) {
      const std::string essiv = "EVP_aes_" + std::to_string(cipher.iv_key.size() * 8) + "_ecb";
      iv = OpenSslCipher(essiv, cipher.iv_key.data(), nullptr, iv, true);
    }
    const size_t end = std::min<size_t>(in.size(), at + basecow::kCipherSector);
    const std::vector<uint8_t> part(in.begin() + static_cast<ptrdiff_t>(at),
                                    in.begin() + static_cast<ptrdiff_t>(end));
    const std::vector<uint8_t> made = OpenSslCipher(type, cipher.key.data(), iv.data(), part, encrypt);
    out.insert(out.end(), made.begin(), made.end());
  }
  return out;
}

}  // namespace test
