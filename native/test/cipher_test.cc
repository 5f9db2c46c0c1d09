#include <memory>

#include "cipher_judge.h"
#include "crypt/cipher_cache.h"

using basecow::Cipher;
using basecow::CipherMode;
using basecow::IvKind;
using basecow::Secret;
using basecow::SectorCipher;

namespace {

std::vector<uint8_t> FromHex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Cipher Make(CipherMode mode, IvKind iv, const std::vector<uint8_t>& key) {
  Cipher cipher;
  cipher.mode = mode;
  cipher.iv = iv;
  cipher.key = Secret(key.data(), key.size());
  return cipher;
}

std::vector<uint8_t> Encrypted(SectorCipher& cipher, const std::vector<uint8_t>& in, uint64_t sector) {
  std::vector<uint8_t> out(in.size());
  CHECK_OK(cipher.Encrypt(in.data(), out.data(), in.size(), sector));
  return out;
}

/// 00 01 ... ff, twice: a sector.
std::vector<uint8_t> Counting() {
  std::vector<uint8_t> bytes(512);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(i);
  return bytes;
}

void Known(CipherMode mode, IvKind iv, const char* key, uint64_t sector, const std::vector<uint8_t>& plain,
           const std::string& expected) {
  const Cipher cipher = Make(mode, iv, FromHex(key));
  SectorCipher sectors(cipher);
  std::vector<uint8_t> bytes = Encrypted(sectors, plain, sector);
  CHECK_EQ(check::Hex(bytes.data(), expected.size() / 2), expected);
  CHECK_OK(sectors.Decrypt(bytes.data(), bytes.data(), bytes.size(), sector));
  CHECK(bytes == plain);
}

}  // namespace

TEST("cipher: XTS vectors of IEEE 1619-2007, annex B") {
  test::OpenSsl();
  const std::vector<uint8_t> fours(32, 0x44);
  // Vectors 1 to 3: 32 bytes.
  Known(CipherMode::kXts, IvKind::kPlain64,
        "0000000000000000000000000000000000000000000000000000000000000000", 0, std::vector<uint8_t>(32),
        "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e");
  Known(CipherMode::kXts, IvKind::kPlain64,
        "1111111111111111111111111111111122222222222222222222222222222222", 0x3333333333, fours,
        "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0");
  Known(CipherMode::kXts, IvKind::kPlain64,
        "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f022222222222222222222222222222222", 0x3333333333, fours,
        "af85336b597afc1a900b2eb21ec949d292df4c047e0b21532186a5971a227a89");
  // Vectors 4 and 10: whole sectors, by their first 64 bytes; the judge below answers for the rest.
  Known(CipherMode::kXts, IvKind::kPlain64,
        "2718281828459045235360287471352631415926535897932384626433832795", 0, Counting(),
        "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c"
        "c78cf7f5e543445f8333d8fa7f56000005279fa5d8b5e4ad40e736ddb4d35412");
  Known(CipherMode::kXts, IvKind::kPlain64,
        "2718281828459045235360287471352662497757247093699959574966967627314159265358979323846264338327950288"
        "4197"
        "169399375105820974944592",
        0xff, Counting(),
        "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"
        "5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd");
}

TEST("cipher: ECB and CBC vectors of NIST SP 800-38A, appendix F") {
  test::OpenSsl();
  const std::vector<uint8_t> plain = FromHex(
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
  Known(CipherMode::kEcb, IvKind::kNone, "2b7e151628aed2a6abf7158809cf4f3c", 0, plain,
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
        "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4");
  Known(CipherMode::kEcb, IvKind::kNone, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 0, plain,
        "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef"
        "ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e");
  // CBC's vector 00 01 ... 0f: put into the first block, the rest follows from it.
  std::vector<uint8_t> first = plain;
  for (uint8_t i = 0; i < 16; i++) first[i] ^= i;
  Known(CipherMode::kCbc, IvKind::kNone, "2b7e151628aed2a6abf7158809cf4f3c", 5, first,
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
        "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7");
}

TEST(
    "cipher: every mode, vector and key size as OpenSSL's own modes, any number of sectors, in place or "
    "not") {
  test::OpenSsl();
  check::Random random(1619);
  const std::vector<uint8_t> content = random.Bytes(70 * 512);
  for (const CipherMode mode : {CipherMode::kEcb, CipherMode::kCbc, CipherMode::kXts, CipherMode::kCtr}) {
    for (const IvKind iv : {IvKind::kNone, IvKind::kPlain, IvKind::kPlain64, IvKind::kEssiv}) {
      for (const size_t bytes : {16, 24, 32}) {
        // OpenSSL has no XTS with AES-192: the test after this one.
        if (mode == CipherMode::kXts && bytes == 24) continue;
        Cipher cipher = Make(mode, iv, random.Bytes(mode == CipherMode::kXts ? 2 * bytes : bytes));
        if (iv == IvKind::kEssiv) cipher.iv_key = Secret(random.Bytes(32).data(), 32);
        CHECK(basecow::WhyInvalid(cipher) == nullptr);
        SectorCipher sectors(cipher);
        for (const size_t length :
             {16, 496, 512, 528, 1024, 4 * 512, 15 * 512 + 32, 16 * 512, 17 * 512, 70 * 512}) {
          // Past 32 bits, where `plain` begins anew.
          for (const uint64_t sector : {uint64_t{0}, uint64_t{0xfffffff0}, random.Next() >> 12}) {
            const std::vector<uint8_t> plain(content.begin(),
                                             content.begin() + static_cast<ptrdiff_t>(length));
            const std::vector<uint8_t> sealed = Encrypted(sectors, plain, sector);
            CHECK(sealed == test::JudgedSectors(cipher, plain, sector, true));
            std::vector<uint8_t> place = plain;
            CHECK_OK(sectors.Encrypt(place.data(), place.data(), length, sector));
            CHECK(place == sealed);
            CHECK_OK(sectors.Decrypt(place.data(), place.data(), length, sector));
            CHECK(place == plain);
            std::vector<uint8_t> apart(length);
            CHECK_OK(sectors.Decrypt(sealed.data(), apart.data(), length, sector));
            CHECK(apart == plain);
          }
        }
      }
    }
  }
}

TEST("cipher: XTS with AES-192, by the standard's own words") {
  test::OpenSsl();
  check::Random random(192);
  const std::vector<uint8_t> key = random.Bytes(48);
  const std::vector<uint8_t> plain = random.Bytes(512);
  const Cipher cipher = Make(CipherMode::kXts, IvKind::kPlain64, key);
  SectorCipher sectors(cipher);
  std::vector<uint8_t> tweak = {0xef, 0xcd, 0xab, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  tweak = test::OpenSslCipher("EVP_aes_192_ecb", key.data() + 24, nullptr, tweak, true);
  std::vector<uint8_t> expected;
  for (size_t at = 0; at < plain.size(); at += 16) {
    std::vector<uint8_t> block(plain.begin() + static_cast<ptrdiff_t>(at),
                               plain.begin() + static_cast<ptrdiff_t>(at) + 16);
    for (size_t i = 0; i < 16; i++) block[i] ^= tweak[i];
    block = test::OpenSslCipher("EVP_aes_192_ecb", key.data(), nullptr, block, true);
    for (size_t i = 0; i < 16; i++) expected.push_back(block[i] ^ tweak[i]);
    // Section 5.2: the bytes shift left by one bit, the carry out of the last comes back as 0x87 in the
    // first.
    uint8_t carry = 0;
    for (uint8_t& byte : tweak) {
      const uint8_t next = byte >> 7;
      byte = static_cast<uint8_t>(byte << 1 | carry);
      carry = next;
    }
    if (carry != 0) tweak[0] ^= 0x87;
  }
  CHECK(Encrypted(sectors, plain, 0xabcdef) == expected);
}

TEST("cipher: keys that do not fit are refused, and wiped when they go") {
  const std::vector<uint8_t> key(64, 7);
  const auto refused = [&](CipherMode mode, IvKind iv, size_t bytes, size_t iv_bytes) {
    Cipher cipher;
    cipher.mode = mode;
    cipher.iv = iv;
    cipher.key = Secret(key.data(), bytes);
    cipher.iv_key = Secret(key.data(), iv_bytes);
    return basecow::WhyInvalid(cipher) != nullptr;
  };
  for (const size_t bytes : {0, 1, 15, 17, 31, 33, 48, 64})
    CHECK(refused(CipherMode::kCbc, IvKind::kPlain, bytes, 0));
  for (const size_t bytes : {0, 16, 24, 33, 47, 63})
    CHECK(refused(CipherMode::kXts, IvKind::kPlain, bytes, 0));
  CHECK(!refused(CipherMode::kXts, IvKind::kPlain, 48, 0));
  CHECK(refused(CipherMode::kCbc, IvKind::kEssiv, 16, 20));
  CHECK(!refused(CipherMode::kCbc, IvKind::kEssiv, 16, 32));

  Secret secret(key.data(), 32);
  const uint8_t* const memory = secret.data();
  secret.Wipe();
  CHECK_EQ(secret.size(), 0U);
  // Cleared, not freed: the vector keeps its room.
  for (size_t i = 0; i < 32; i++) CHECK_EQ(static_cast<const volatile uint8_t*>(memory)[i], 0);
}
