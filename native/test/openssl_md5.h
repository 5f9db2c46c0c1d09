// MD5 by the machine's OpenSSL: the outside judge of our kernels.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

/// Digest of `length` bytes. Ends the program when there is no libcrypto: no test may pass without its judge.
inline void OpensslMd5(const void* data, size_t length, uint8_t digest[16]) {
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
  unsigned size = 0;
  if (evp_digest(data, length, digest, &size, md5, nullptr) != 1 || size != 16) {
    fprintf(stderr, "OpenSSL does no MD5 here\n");
    exit(1);
  }
}
