#include <dlfcn.h>

#include <algorithm>

#include "check.h"
#include "hash/md5.h"
#include "hash/sha.h"
#include "hash/zero_scan.h"

using basecow::Md5;
using basecow::Md5Pair;

namespace {

std::string Digest(const std::string& text) {
  Md5 md5;
  md5.Update(text.data(), text.size());
  uint8_t digest[basecow::kMd5Bytes];
  md5.Final(digest);
  return check::Hex(digest, sizeof(digest));
}

std::string ShaDigest(const char* algorithm, const std::string& text) {
  basecow::Sha sha;
  CHECK_OK(sha.Start(algorithm));
  CHECK_OK(sha.Update(text.data(), text.size()));
  uint8_t digest[basecow::kShaMaxBytes];
  CHECK_OK(sha.Final(digest));
  return check::Hex(digest, sha.size());
}

}  // namespace

TEST("md5 of RFC 1321's test suite (A.5)") {
  CHECK_EQ(Digest(""), "d41d8cd98f00b204e9800998ecf8427e");
  CHECK_EQ(Digest("a"), "0cc175b9c0f1b6a831c399e269772661");
  CHECK_EQ(Digest("abc"), "900150983cd24fb0d6963f7d28e17f72");
  CHECK_EQ(Digest("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK_EQ(Digest("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
  CHECK_EQ(Digest("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
           "d174ab98d277d9f5a5611c2c9f419d9f");
  CHECK_EQ(Digest("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
           "57edf4a22be3c955ac49da2e2107b67a");
}

TEST("md5 of zeros as md5sum has it") {
  CHECK_EQ(Digest(std::string(65536, '\0')), "fcd6bcb56c1689fcef28b57c22475bad");
  CHECK_EQ(Digest(std::string(1 << 20, '\0')), "b6d81b360a5672d80c27430f39153e2c");
}

TEST("md5 does not depend on how the bytes arrive, at any length and address") {
  check::Random random(1);
  const std::vector<uint8_t> bytes = random.Bytes(5000);
  for (size_t length = 0; length <= 260; ++length) {
    Md5 whole;
    Md5 parts;
    const uint8_t* data = bytes.data() + random.Below(64);
    whole.Update(data, length);
    for (size_t at = 0; at < length;) {
      const size_t piece = std::min<size_t>(length - at, 1 + random.Below(90));
      parts.Update(data + at, piece);
      at += piece;
    }
    uint8_t first[16];
    uint8_t second[16];
    whole.Final(first);
    parts.Final(second);
    CHECK_EQ(check::Hex(second, 16), check::Hex(first, 16));
  }
}

TEST("a pair gives the digests of the whole and of each chunk") {
  check::Random random(2);
  const std::vector<uint8_t> bytes = random.Bytes(40000);
  for (const size_t chunk : {64, 100, 4096, 4097, 12800}) {
    Md5Pair pair;
    Md5 whole;
    whole.Update(bytes.data(), bytes.size());
    for (size_t at = 0; at < bytes.size(); at += chunk) {
      const size_t length = std::min(chunk, bytes.size() - at);
      const size_t half = random.Below(length + 1);
      pair.Update(bytes.data() + at, half);
      pair.Update(bytes.data() + at + half, length - half);
      Md5 alone;
      alone.Update(bytes.data() + at, length);
      uint8_t expected[16];
      uint8_t actual[16];
      alone.Final(expected);
      pair.FinalSecond(actual);
      CHECK_EQ(check::Hex(actual, 16), check::Hex(expected, 16));
    }
    uint8_t expected[16];
    uint8_t actual[16];
    whole.Final(expected);
    pair.FinalFirst(actual);
    CHECK_EQ(check::Hex(actual, 16), check::Hex(expected, 16));
  }
}

TEST("two streams of different bytes are independent") {
  check::Random random(3);
  const std::vector<uint8_t> left = random.Bytes(64 * 7);
  const std::vector<uint8_t> right = random.Bytes(64 * 7);
  const basecow::Md5Kernels& kernels = basecow::PickMd5Kernels();
  uint32_t one[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  uint32_t two[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  kernels.one(one[0], left.data(), 7);
  kernels.one(one[1], right.data(), 7);
  kernels.two(two[0], left.data(), two[1], right.data(), 7);
  CHECK(memcmp(one, two, sizeof(one)) == 0);
}

TEST("sha by the process's OpenSSL (FIPS 180-4 examples)") {
  // node carries OpenSSL itself; this program has to load one.
  CHECK(dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL) != nullptr ||
        dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_GLOBAL) != nullptr);
  CHECK(basecow::ShaLibrary() != nullptr);
  CHECK_EQ(ShaDigest("sha1", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK_EQ(ShaDigest("sha256", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK_EQ(ShaDigest("sha512", "abc").substr(0, 32), "ddaf35a193617abacc417349ae204131");
  basecow::Sha sha;
  const basecow::Status status = sha.Start("crc32");
  CHECK_EQ(status.err, EINVAL);
  CHECK(status.message.find("crc32") != std::string::npos);
  CHECK_EQ(basecow::ShaSize("md5"), 0U);
}

TEST("every zero kernel finds one byte at every place of every length") {
  size_t count = 0;
  const basecow::zero_scan::Kernel* kernels = basecow::zero_scan::Kernels(&count);
  CHECK(count > 0);
  std::vector<uint8_t> memory(1100, 0);
  for (size_t k = 0; k < count; ++k) {
    for (size_t length = kernels[k].least; length <= 600; length += 1 + length / 40) {
      for (const size_t start : {0, 1, 31}) {
        uint8_t* data = memory.data() + 64 + start;
        // What lies outside must not count.
        data[-1] = 1;
        data[length] = 1;
        CHECK(kernels[k].scan(data, length));
        for (size_t at = 0; at < length; ++at) {
          data[at] = 0x80;
          if (kernels[k].scan(data, length)) CHECK_EQ(at, length);
          if (basecow::IsZero(data, length)) CHECK_EQ(at, length);
          data[at] = 0;
        }
        data[-1] = 0;
        data[length] = 0;
      }
    }
  }
  CHECK(basecow::IsZero(memory.data(), 0));
}

TEST("a leading run ends where zeros begin or end") {
  std::vector<uint8_t> bytes(4096, 0);
  bytes[1024] = 1;
  bytes[1535] = 1;
  bool zero = false;
  CHECK_EQ(basecow::LeadingRun(bytes.data(), bytes.size(), 512, &zero), 1024U);
  CHECK(zero);
  CHECK_EQ(basecow::LeadingRun(bytes.data() + 1024, bytes.size() - 1024, 512, &zero), 512U);
  CHECK(!zero);
  CHECK_EQ(basecow::LeadingRun(bytes.data() + 1536, 2000, 512, &zero), 2000U);
  CHECK(zero);
  CHECK_EQ(basecow::LeadingRun(bytes.data(), bytes.size(), 4096, &zero), 4096U);
  CHECK(!zero);
}
