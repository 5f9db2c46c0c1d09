#include <dlfcn.h>

#include "check.h"
#include "hash/sha.h"
#include "hash/zero_scan.h"

namespace {

std::string ShaDigest(const char* algorithm, const std::string& text) {
  basecow::Sha sha;
  CHECK_OK(sha.Start(algorithm));
  CHECK_OK(sha.Update(text.data(), text.size()));
  uint8_t digest[basecow::kShaMaxBytes];
  CHECK_OK(sha.Final(digest));
  return check::Hex(digest, sha.size());
}

}  // namespace

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
  // MD5 is not OpenSSL's affair here.
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
