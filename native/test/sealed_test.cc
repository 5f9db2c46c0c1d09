// Jobs whose source or target is encrypted.
#include <algorithm>

#include "cipher_judge.h"
#include "crypt/write_sealed.h"
#include "support.h"
#include "transfer/compare_sink.h"
#include "transfer/pack_sink.h"
#include "transfer/raw_sink.h"
#include "transfer/read_sink.h"

using basecow::Batch;
using basecow::Cipher;
using basecow::CipherMode;
using basecow::IvKind;
using basecow::Kind;
using basecow::Row;
using basecow::Secret;
using basecow::ZeroPolicy;
using test::Data;
using test::Empty;
using test::kSegment;

namespace {

using Shared = std::shared_ptr<const Cipher>;

Shared MakeCipher(CipherMode mode, bool by_guest, int64_t origin, uint64_t seed = 1) {
  test::OpenSsl();
  check::Random random(seed);
  auto cipher = std::make_shared<Cipher>();
  cipher->mode = mode;
  const size_t bytes = mode == CipherMode::kXts ? 64 : 16;
  cipher->key = Secret(random.Bytes(bytes).data(), bytes);
  cipher->by_guest = by_guest;
  cipher->origin = origin;
  return cipher;
}

std::vector<uint8_t> Sealed(const Shared& cipher, const std::vector<uint8_t>& plain, uint64_t sector) {
  return test::JudgedSectors(*cipher, plain, sector, true);
}

std::vector<uint8_t> Opened(const Shared& cipher, const std::vector<uint8_t>& sealed, uint64_t sector) {
  return test::JudgedSectors(*cipher, sealed, sector, false);
}

std::vector<uint8_t> Part(const std::vector<uint8_t>& bytes, uint64_t from, uint64_t length) {
  return {bytes.begin() + static_cast<ptrdiff_t>(from),
          bytes.begin() + static_cast<ptrdiff_t>(from + length)};
}

std::shared_ptr<Batch> From(uint64_t start, uint64_t end, std::vector<Row> rows, int fd,
                            const Shared& cipher) {
  auto batch = test::MakeBatch(start, end, std::move(rows), fd);
  batch->source.files[0].cipher = cipher;
  if (cipher != nullptr) batch->source.files[0].traits = {};
  return batch;
}

std::vector<uint8_t> Noise(size_t length, uint64_t seed = 5) {
  check::Random random(seed);
  return random.Bytes(length);
}

}  // namespace

TEST("sealed: any range of a row is decrypted, by host or by guest offsets, in many threads") {
  const check::Folder folder;
  constexpr uint64_t kHeader = 3 * 512;
  const std::vector<uint8_t> plain = Noise(40 * kSegment);
  for (const bool by_guest : {false, true}) {
    // The file's first byte after the header is guest byte 4096 in the second case.
    const Shared cipher = MakeCipher(CipherMode::kXts, by_guest, by_guest ? 4096 : kHeader);
    std::vector<uint8_t> stored = Noise(kHeader, 9);
    const std::vector<uint8_t> sealed = Sealed(cipher, plain, 0);
    stored.insert(stored.end(), sealed.begin(), sealed.end());
    const basecow::OwnedFd file = test::MakeFile(folder / "source", stored);
    check::Random random(77);
    for (int round = 0; round < 60; round++) {
      const uint64_t from = random.Below(plain.size());
      const uint64_t length =
          1 + random.Below(std::min<uint64_t>(plain.size() - from, 1 + random.Below(3 << 20)));
      const uint64_t start = 4096 + from;
      std::vector<uint8_t> out(length);
      test::Run run(1 + random.Below(4), std::make_unique<basecow::ReadSink>(out.data(), length, start));
      run.Submit(From(start, start + length, {Data(4096, plain.size(), kHeader)}, file.get(), cipher));
      run.Finish();
      CHECK_OK(run.status());
      CHECK(out == Part(plain, from, length));
    }
  }
}

TEST("sealed: guest numbers follow rows that were moved to another place, also down") {
  const check::Folder folder;
  const std::vector<uint8_t> plain = Noise(8 * kSegment);
  const Shared own = MakeCipher(CipherMode::kCbc, true, 0);
  const basecow::OwnedFd file = test::MakeFile(folder / "source", Sealed(own, plain, 0));
  // Guest byte 777 and what follows are shown from 0 on.
  const Shared moved = MakeCipher(CipherMode::kCbc, true, -777);
  std::vector<uint8_t> out(2 * kSegment);
  test::Run run(2, std::make_unique<basecow::ReadSink>(out.data(), out.size(), 0));
  run.Submit(From(0, out.size(), {Data(0, plain.size() - 777, 777)}, file.get(), moved));
  run.Finish();
  CHECK_OK(run.status());
  CHECK(out == Part(plain, 777, out.size()));
}

TEST(
    "sealed: a file that ends inside a sector has that sector, as QEMU counts; one that ends before has "
    "not") {
  const check::Folder folder;
  const Shared cipher = MakeCipher(CipherMode::kXts, false, 0);
  const std::vector<uint8_t> stored = Noise(kSegment + 700);
  const basecow::OwnedFd file = test::MakeFile(folder / "source", stored);
  std::vector<uint8_t> padded = stored;
  padded.resize(kSegment + 1024);
  const auto read = [&](uint64_t length, bool zeros, std::vector<uint8_t>* out) {
    out->resize(length);
    test::Run run(1, std::make_unique<basecow::ReadSink>(out->data(), length, 0),
                  {.short_reads_zero = zeros});
    run.Submit(From(0, length, {Data(0, length, 0)}, file.get(), cipher));
    run.Finish();
    return run.status();
  };
  std::vector<uint8_t> out;
  CHECK_OK(read(kSegment + 1024, false, &out));
  CHECK(out == Opened(cipher, padded, 0));
  const basecow::Status shrank = read(kSegment + 1025, false, &out);
  CHECK_EQ(std::string(shrank.code), basecow::kCodeShrank);
  CHECK(shrank.message.find("at byte " + std::to_string(kSegment + 1024)) != std::string::npos);
  CHECK_OK(read(kSegment + 2048, true, &out));
  padded.resize(kSegment + 2048);
  CHECK(out == Opened(cipher, padded, 0));
}

TEST("sealed: what cannot be read is zeros with salvage, not zeros decrypted") {
  const Shared cipher = MakeCipher(CipherMode::kXts, false, 0);
  std::vector<uint8_t> out(4096, 1);
  test::Run run(1, std::make_unique<basecow::ReadSink>(out.data(), out.size(), 0), {.salvage = true});
  run.Submit(From(0, out.size(), {Data(0, out.size(), 0)}, 1 << 20, cipher));
  run.Finish();
  CHECK_OK(run.status());
  CHECK(out == std::vector<uint8_t>(4096));
  CHECK_EQ(run.Results()[0].unreadable.size(), 1U);
}

TEST("sealed: digests of wholes, chunks and ranges are those of what the guest reads") {
  const check::Folder folder;
  const std::vector<uint8_t> plain = Noise(10 * kSegment + 512);
  const Shared cipher = MakeCipher(CipherMode::kXts, false, 0);
  const basecow::OwnedFd sealed = test::MakeFile(folder / "sealed", Sealed(cipher, plain, 0));
  const basecow::OwnedFd open = test::MakeFile(folder / "open", plain);
  const auto digests = [&](int fd, const Shared& by, bool whole) {
    basecow::DigestOptions options;
    if (whole) options.algorithms = {"sha256", "md5"};
    options.chunk_size = 100000;
    options.size = plain.size();
    options.unit_algorithm = "md5";
    options.threads = 3;
    std::vector<uint8_t> out((plain.size() / 100000 + 1) * 16);
    test::Run run(3, test::MakeDigest(options));
    auto batch = From(0, plain.size(), {Data(0, plain.size(), 0)}, fd, by);
    batch->digests = out.data();
    batch->digests_length = out.size();
    run.Submit(batch);
    const auto totals = run.Finish();
    CHECK_OK(run.status());
    for (const basecow::Digest& digest : totals->digests) {
      out.insert(out.end(), digest.bytes.begin(), digest.bytes.end());
    }
    return out;
  };
  for (const bool whole : {false, true})
    CHECK(digests(sealed.get(), cipher, whole) == digests(open.get(), nullptr, whole));
}

TEST("sealed: compare decrypts either side, and does not take one file under two ciphers for the same") {
  const check::Folder folder;
  std::vector<uint8_t> plain = Noise(4 * kSegment);
  const Shared cipher = MakeCipher(CipherMode::kXts, false, 0);
  const Shared another = MakeCipher(CipherMode::kXts, false, 0, 2);
  const basecow::OwnedFd sealed = test::MakeFile(folder / "sealed", Sealed(cipher, plain, 0));
  const basecow::OwnedFd open = test::MakeFile(folder / "open", plain);
  const auto mismatch = [&](int one, const Shared& a, int two, const Shared& b) {
    test::Run run(2, std::make_unique<basecow::CompareSink>());
    auto batch = From(0, plain.size(), {Data(0, plain.size(), 0)}, one, a);
    batch->other = From(0, plain.size(), {Data(0, plain.size(), 0)}, two, b)->source;
    batch->has_other = true;
    run.Submit(batch);
    run.Finish();
    CHECK_OK(run.status());
    return run.Results()[0].mismatch;
  };
  CHECK_EQ(mismatch(sealed.get(), cipher, open.get(), nullptr), -1);
  CHECK_EQ(mismatch(sealed.get(), cipher, sealed.get(), cipher), -1);
  CHECK_EQ(mismatch(sealed.get(), cipher, sealed.get(), another), 0);
  CHECK_EQ(mismatch(sealed.get(), cipher, sealed.get(), nullptr), 0);
}

TEST("sealed: raw writes sectors, and parts of sectors without touching the rest, whatever the threads") {
  const check::Folder folder;
  constexpr uint64_t kHeader = 2048;
  const uint64_t size = 6 * kSegment;
  const std::vector<uint8_t> old = Noise(size, 3);
  const std::vector<uint8_t> fresh = Noise(size, 4);
  const basecow::OwnedFd source = test::MakeFile(folder / "source", fresh);
  for (const bool by_guest : {false, true}) {
    const Shared cipher = MakeCipher(CipherMode::kXts, by_guest, by_guest ? 0 : kHeader);
    for (const uint32_t threads : {1U, 4U}) {
      std::vector<uint8_t> stored = Noise(kHeader, 9);
      const std::vector<uint8_t> sealed = Sealed(cipher, old, 0);
      stored.insert(stored.end(), sealed.begin(), sealed.end());
      const basecow::OwnedFd target = test::MakeFile(folder / "target", stored);
      basecow::RawOptions options;
      options.fd = target.get();
      options.path = "target";
      options.shift = kHeader;
      options.zeros = ZeroPolicy::kWrite;
      options.offload = true;
      options.cipher = cipher;
      CHECK_OK(basecow::ValidateRaw(options));
      test::Run run(threads, std::make_unique<basecow::RawSink>(options));
      // Data, zeros and gaps of odd lengths, in batches that meet inside sectors.
      std::vector<uint8_t> expected = old;
      check::Random random(41);
      uint64_t at = random.Below(900);
      uint64_t begin = at;
      std::vector<Row> rows;
      while (at < size) {
        const uint64_t most = random.Below(3) == 0 ? 100000 : 900;
        const uint64_t length = std::min(size - at, 1 + random.Below(most));
        const uint64_t what = random.Below(5);
        if (what < 3) rows.push_back(Data(at, length, at));
        if (what == 3) rows.push_back(Empty(Kind::kZero, at, length));
        for (uint64_t i = at; i < at + length; i++) {
          if (what < 3) expected[i] = fresh[i];
          if (what == 3) expected[i] = 0;
        }
        at += length;
        if (rows.size() > 20 || at == size) {
          run.Submit(From(begin, at, std::move(rows), source.get(), nullptr));
          rows.clear();
          begin = at;
        }
      }
      run.Finish();
      CHECK_OK(run.status());
      const std::vector<uint8_t> content = test::Content(target.get());
      CHECK_EQ(content.size(), kHeader + size);
      CHECK(Part(content, 0, kHeader) == Noise(kHeader, 9));
      CHECK(Part(content, kHeader, size) == Sealed(cipher, expected, 0));
    }
  }
}

TEST("sealed: raw follows a placement, and re-encrypts what comes from an encrypted file") {
  const check::Folder folder;
  const std::vector<uint8_t> plain = Noise(4 * kSegment);
  const Shared in = MakeCipher(CipherMode::kCbc, true, 0, 6);
  const Shared out = MakeCipher(CipherMode::kXts, false, 0, 7);
  const basecow::OwnedFd source = test::MakeFile(folder / "source", Sealed(in, plain, 0));
  const basecow::OwnedFd target = test::MakeFile(folder / "target", {});
  basecow::RawOptions options;
  options.fd = target.get();
  options.path = "target";
  options.offload = true;
  options.cipher = out;
  test::Run run(3, std::make_unique<basecow::RawSink>(options));
  auto batch = From(0, plain.size(), {Data(0, plain.size(), 0)}, source.get(), in);
  batch->has_placement = true;
  // Halves change places.
  const uint64_t half = plain.size() / 2;
  batch->placement = {{0, half, half}, {half, half, 0}};
  run.Submit(batch);
  run.Finish();
  CHECK_OK(run.status());
  const std::vector<uint8_t> content = Opened(out, test::Content(target.get()), 0);
  CHECK(Part(content, half, half) == Part(plain, 0, half));
  CHECK(Part(content, 0, half) == Part(plain, half, half));
}

TEST("sealed: packed clusters are encrypted where they came to lie, the same for every thread count") {
  constexpr uint64_t kCluster = 4096;
  const check::Folder folder;
  std::vector<uint8_t> plain = Noise(900 * kCluster + 1000);
  check::Random random(8);
  for (size_t at = 0; at + kCluster <= plain.size(); at += kCluster) {
    if (random.Below(3) == 0) std::fill_n(plain.begin() + static_cast<ptrdiff_t>(at), kCluster, uint8_t{0});
  }
  const basecow::OwnedFd source = test::MakeFile(folder / "source", plain);
  for (const bool by_guest : {false, true}) {
    const Shared cipher = MakeCipher(by_guest ? CipherMode::kCbc : CipherMode::kXts, by_guest, 0);
    std::vector<uint8_t> first;
    for (const uint32_t threads : {1U, 2U, 7U}) {
      const basecow::OwnedFd target = test::MakeFile(folder / "target", {});
      basecow::PackOptions options;
      options.fd = target.get();
      options.path = "target";
      options.cluster_size = kCluster;
      options.guest_size = plain.size();
      options.geometry = {kCluster, 3 * kCluster, 64 * kCluster, 128 * kCluster, kCluster, 0};
      options.cipher = cipher;
      CHECK_OK(basecow::ValidatePack(options, kSegment));
      test::Run run(threads, std::make_unique<basecow::PackSink>(options));
      run.Submit(From(0, plain.size(), {Data(0, plain.size(), 0)}, source.get(), nullptr));
      run.Finish();
      CHECK_OK(run.status());
      const basecow::BatchResult result = run.Results()[0];
      const std::vector<uint8_t> content = test::Content(target.get());
      if (first.empty()) first = content;
      CHECK(content == first);
      CHECK(result.packed_guest.size() > 500);
      for (size_t i = 0; i < result.packed_guest.size(); i++) {
        const uint64_t guest = result.packed_guest[i];
        const uint64_t host = result.packed_host[i];
        std::vector<uint8_t> expected = Part(plain, guest, std::min(kCluster, plain.size() - guest));
        expected.resize(kCluster);
        CHECK(Opened(cipher, Part(content, host, kCluster), (by_guest ? guest : host) / 512) == expected);
      }
    }
  }
}

TEST("sealed: pieces are written encrypted, and stay what they are") {
  const check::Folder folder;
  const Shared cipher = MakeCipher(CipherMode::kXts, false, 512);
  const std::vector<uint8_t> plain = Noise(700 * 1024);
  const std::vector<uint8_t> kept = plain;
  const basecow::OwnedFd target = test::MakeFile(folder / "target", {});
  const size_t first = 600 * 1024;
  CHECK_OK(basecow::WriteSealed(
      target.get(), "target",
      {{{512 + 4096, plain.data(), first}, 8}, {{512, plain.data() + first, 4096}, 0}}, *cipher));
  CHECK(plain == kept);
  const std::vector<uint8_t> content = test::Content(target.get());
  CHECK(Opened(cipher, Part(content, 512, 4096), 0) == Part(plain, first, 4096));
  CHECK(Opened(cipher, Part(content, 512 + 4096, first), 8) == Part(plain, 0, first));
}

TEST("sealed: plans that make no sense are refused") {
  const Shared cipher = MakeCipher(CipherMode::kXts, false, 4096);
  std::vector<uint8_t> out(kSegment);
  const auto refused = [&](const Row& row, const Shared& by) {
    test::Run run(1, std::make_unique<basecow::ReadSink>(out.data(), out.size(), 0));
    run.Submit(From(0, kSegment, {row}, -1, by));
    run.Finish();
    return run.status().err == EINVAL;
  };
  CHECK(refused(Data(0, 512, 4095), cipher));
  CHECK(!refused(Data(0, 512, 4096), cipher));
  CHECK(refused({0, 4096, 8192, 300, 0, 4096, 0, Kind::kDeflate}, cipher));
  CHECK(refused(Data(0, 512, 512), MakeCipher(CipherMode::kXts, true, 512)));
  // Guest bytes lie inside a sector that would begin before the file.
  CHECK(refused(Data(300, 100, 100), MakeCipher(CipherMode::kXts, true, 0)));

  basecow::RawOptions raw;
  raw.cipher = cipher;
  raw.zeros = ZeroPolicy::kPunch;
  CHECK_EQ(basecow::ValidateRaw(raw).err, EINVAL);
  basecow::PackOptions pack;
  pack.cluster_size = 4096;
  pack.geometry = {4096, 4096, 0, 0, 0, 0};
  pack.cipher = MakeCipher(CipherMode::kXts, false, 0);
  CHECK_OK(basecow::ValidatePack(pack, kSegment));
  pack.codec = basecow::PackCodec::kDeflate;
  CHECK_EQ(basecow::ValidatePack(pack, kSegment).err, EINVAL);
}
