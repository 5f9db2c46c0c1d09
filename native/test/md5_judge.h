// MD5 by others: the outside judges of our kernels.
#pragma once

#include <dlfcn.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.h"

namespace judge {

/// RFC 1321 as it stands there, word by word, with the sines from the formula. Judges where there is no
/// OpenSSL (under qemu-user); held against md5sum by a test of its own.
inline std::string Textbook(const uint8_t* data, size_t length) {
  static const int kTurns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  static std::vector<uint32_t> sines;
  for (int i = static_cast<int>(sines.size()); i < 64; ++i) {
    sines.push_back(static_cast<uint32_t>(std::floor(std::fabs(std::sin(i + 1.0)) * 4294967296.0)));
  }
  std::vector<uint8_t> message(data, data + length);
  message.push_back(0x80);
  while (message.size() % 64 != 56) message.push_back(0);
  for (int i = 0; i < 8; ++i) message.push_back(static_cast<uint8_t>(uint64_t{length} * 8 >> (8 * i)));
  uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (size_t block = 0; block < message.size(); block += 64) {
    uint32_t a = state[0];
    uint32_t b = state[1];
    uint32_t c = state[2];
    uint32_t d = state[3];
    for (int i = 0; i < 64; ++i) {
      const int round = i / 16;
      const uint32_t mixed = round == 0   ? (b & c) | (~b & d)
                             : round == 1 ? (d & b) | (~d & c)
                             : round == 2 ? b ^ c ^ d
                                          : c ^ (b | ~d);
      const int word = (round == 0 ? i : round == 1 ? 5 * i + 1 : round == 2 ? 3 * i + 5 : 7 * i) % 16;
      uint32_t value = 0;
      for (int k = 3; k >= 0; --k) value = value << 8 | message[block + static_cast<size_t>(4 * word + k)];
      const uint32_t next =
          b + std::rotl(a + mixed + value + sines[static_cast<size_t>(i)], kTurns[round][i % 4]);
      a = d;
      d = c;
      c = b;
      b = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
  uint8_t digest[16];
  for (size_t i = 0; i < 16; ++i) digest[i] = static_cast<uint8_t>(state[i / 4] >> (8 * (i % 4)));
  return check::Hex(digest, 16);
}

/// The machine's OpenSSL. Ends the program when there is none: no test may pass without its judge.
inline std::string Openssl(const uint8_t* data, size_t length) {
  using Md5Type = const void* (*)();
  using Digest = int (*)(const void*, size_t, unsigned char*, unsigned*, const void*, void*);
  static Digest evp_digest = nullptr;
  static const void* md5 = nullptr;
  if (evp_digest == nullptr) {
    void* library = dlopen("libcrypto.so.3", RTLD_NOW);
    if (library == nullptr) library = dlopen("libcrypto.so.1.1", RTLD_NOW);
    if (library == nullptr) {
      fprintf(stderr, "no libcrypto to compare with: %s\n", dlerror());
      exit(1);
    }
    md5 = reinterpret_cast<Md5Type>(dlsym(library, "EVP_md5"))();
    evp_digest = reinterpret_cast<Digest>(dlsym(library, "EVP_Digest"));
  }
  uint8_t digest[16];
  unsigned size = 0;
  if (evp_digest(data, length, digest, &size, md5, nullptr) != 1 || size != 16) {
    fprintf(stderr, "OpenSSL does no MD5 here\n");
    exit(1);
  }
  return check::Hex(digest, 16);
}

/// What the md5sum command prints for these files.
inline std::vector<std::string> Md5sum(const std::string& paths) {
  std::vector<std::string> digests;
  FILE* output = popen(("md5sum " + paths).c_str(), "r");
  char line[4096];
  while (output != nullptr && fgets(line, sizeof(line), output) != nullptr) digests.emplace_back(line, 32);
  if (output != nullptr) pclose(output);
  return digests;
}

inline std::string Md5(const uint8_t* data, size_t length) {
#if defined(BASECOW_TEXTBOOK_JUDGE)
  return Textbook(data, length);
#else
  return Openssl(data, length);
#endif
}

}  // namespace judge
