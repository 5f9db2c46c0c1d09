#include <zlib.h>

#include "check.h"
#include "codec/deflate.h"
#include "codec/inflate.h"
#include "codec/zstd.h"
#include "guarded.h"

using basecow::Deflater;
using basecow::Inflater;
using basecow::ZstdDecoder;
using basecow::ZstdEncoder;

namespace {

constexpr size_t kUnit = 65536;

/// Words from a small list: compresses, with matches near and far.
std::vector<uint8_t> Text(uint64_t seed, size_t length) {
  check::Random random(seed);
  std::vector<std::vector<uint8_t>> words;
  for (int i = 0; i < 200; i++) words.push_back(random.Bytes(3 + random.Below(30)));
  std::vector<uint8_t> text;
  while (text.size() < length) {
    const std::vector<uint8_t>& word = words[random.Below(words.size())];
    text.insert(text.end(), word.begin(), word.end());
  }
  text.resize(length);
  return text;
}

/// Raw deflate by the reference implementation.
std::vector<uint8_t> ZlibDeflate(const std::vector<uint8_t>& bytes, int window) {
  z_stream stream{};
  CHECK_EQ(deflateInit2(&stream, 6, Z_DEFLATED, -window, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<uint8_t> out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// Fed a byte at a time, so that zlib has only its window of 2^12 bytes to look back into.
std::vector<uint8_t> InflateInSmallWindow(const std::vector<uint8_t>& packed, size_t length) {
  z_stream stream{};
  CHECK_EQ(inflateInit2(&stream, -12), Z_OK);
  std::vector<uint8_t> out(length);
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::vector<uint8_t> piece(1000);
  size_t made = 0;
  int result = Z_OK;
  while (result == Z_OK && made < length) {
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    result = inflate(&stream, Z_NO_FLUSH);
    const size_t count = std::min(piece.size() - stream.avail_out, length - made);
    std::copy_n(piece.begin(), count, out.begin() + static_cast<ptrdiff_t>(made));
    made += count;
  }
  inflateEnd(&stream);
  CHECK(result == Z_STREAM_END || result == Z_OK);
  CHECK_EQ(made, length);
  return out;
}

/// What QEMU's reader makes of it: all `unit` bytes, or nothing.
bool ZlibAccepts(const std::vector<uint8_t>& packed, size_t unit, std::vector<uint8_t>& out) {
  z_stream stream{};
  CHECK_EQ(inflateInit2(&stream, -12), Z_OK);
  out.assign(unit, 0);
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(unit);
  const int result = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0;
}

/// Bits flipped, bytes changed, cut, doubled or put elsewhere.
void Damage(check::Random& random, std::vector<uint8_t>& bytes) {
  for (size_t times = 1 + random.Below(4); times > 0 && !bytes.empty(); times--) {
    // Heads of blocks and frames are where most can go wrong.
    const size_t at = random.Below(random.Below(2) == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 100));
    switch (random.Below(5)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1U << random.Below(8));
        break;
      case 1:
        bytes[at] = static_cast<uint8_t>(random.Below(256));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at));
        break;
      default: {
        const size_t some = std::min<size_t>(random.Below(40), bytes.size() - at);
        const std::vector<uint8_t> piece(bytes.begin() + static_cast<ptrdiff_t>(at),
                                         bytes.begin() + static_cast<ptrdiff_t>(at + some));
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(random.Below(bytes.size())), piece.begin(),
                     piece.end());
      }
    }
  }
}

}  // namespace

TEST("inflate: damaged streams are read as zlib reads them, within their bytes and the unit") {
  check::Random random(21);
  const check::Guarded input(1 << 17);
  const check::Guarded output(1 << 17);
  Inflater inflater;
  std::vector<uint8_t> expected;
  size_t accepted = 0;
  for (int round = 0; round < 3000; round++) {
    const size_t unit = size_t{512} << random.Below(8);
    const std::vector<uint8_t> text = Text(random.Below(1000), unit);
    std::vector<uint8_t> packed(unit + 100);
    if (random.Below(2) == 0) {
      packed = ZlibDeflate(text, 12);
    } else {
      Deflater deflater;
      CHECK_OK(deflater.Open(static_cast<int>(random.Below(3))));
      packed.resize(deflater.Deflate(text.data(), unit, packed.data(), packed.size()));
    }
    if (round % 10 != 0) Damage(random, packed);
    uint8_t* const out = output.Ending(unit);
    const bool good = inflater.Inflate(input.EndingWith(packed), packed.size(), out, unit);
    if (ZlibAccepts(packed, unit, expected)) {
      accepted++;
      CHECK(good);
      CHECK(std::equal(expected.begin(), expected.end(), out));
    } else {
      CHECK(!good);
    }
  }
  CHECK(accepted >= 300);
}

TEST("zstd: damaged frames are read within their bytes and the unit, and leave nothing behind") {
  check::Random random(22);
  const check::Guarded input(1 << 17);
  const check::Guarded output(1 << 17);
  ZstdDecoder decoder;
  CHECK_OK(decoder.Open());
  for (int round = 0; round < 3000; round++) {
    const size_t unit = size_t{512} << random.Below(8);
    const std::vector<uint8_t> text = Text(random.Below(1000), unit);
    ZstdEncoder encoder;
    CHECK_OK(encoder.Open(static_cast<int>(random.Below(5))));
    std::vector<uint8_t> packed(unit + 1000);
    packed.resize(encoder.Encode(text.data(), unit, packed.data(), packed.size()));
    CHECK(!packed.empty());
    uint8_t* const out = output.Ending(unit);
    std::vector<uint8_t> damaged = packed;
    Damage(random, damaged);
    (void)decoder.Decode(input.EndingWith(damaged), damaged.size(), out, unit);
    CHECK(decoder.Decode(input.EndingWith(packed), packed.size(), out, unit));
    CHECK(std::equal(text.begin(), text.end(), out));
  }
}

TEST("zstd: frames without a content size and with a checksum, as streams write them") {
  // Magic, window descriptor (1 MiB), an RLE block of 1,024 bytes, no content size; then its checksum flag
  // set.
  const std::vector<uint8_t> plain = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, 0x03, 0x20, 0x00, 0x61};
  ZstdDecoder decoder;
  CHECK_OK(decoder.Open());
  std::vector<uint8_t> out(1024);
  CHECK(decoder.Decode(plain.data(), plain.size(), out.data(), 1024));
  CHECK(out == std::vector<uint8_t>(1024, 0x61));
  std::vector<uint8_t> checked = plain;
  checked[4] = 0x04;
  CHECK(!decoder.Decode(checked.data(), checked.size(), out.data(), 1024));
  checked.insert(checked.end(), {0xde, 0xad, 0xbe, 0xef});
  CHECK(!decoder.Decode(checked.data(), checked.size(), out.data(), 1024));
  // The low 4 bytes of XXH64 of 1,024 times `a`.
  const uint8_t checksum[4] = {0x09, 0x98, 0x6b, 0x45};
  std::copy_n(checksum, 4, checked.end() - 4);
  CHECK(decoder.Decode(checked.data(), checked.size(), out.data(), 1024));
}

TEST("inflate: what zlib wrote, with bytes behind the stream and a unit that ends before it") {
  const std::vector<uint8_t> text = Text(1, kUnit);
  std::vector<uint8_t> packed = ZlibDeflate(text, 12);
  Inflater inflater;
  std::vector<uint8_t> out(kUnit);
  CHECK(inflater.Inflate(packed.data(), packed.size(), out.data(), kUnit));
  CHECK(out == text);

  const size_t exact = packed.size();
  packed.insert(packed.end(), 511, 0xa5);
  std::fill(out.begin(), out.end(), 0);
  CHECK(inflater.Inflate(packed.data(), packed.size(), out.data(), kUnit));
  CHECK(out == text);

  // The stream holds more than the unit: its first bytes are the answer, and not one more is written.
  std::vector<uint8_t> half(kUnit / 2 + 1, 0x77);
  CHECK(inflater.Inflate(packed.data(), exact, half.data(), kUnit / 2));
  CHECK(std::equal(half.begin(), half.end() - 1, text.begin()));
  CHECK_EQ(half.back(), 0x77);
}

TEST("inflate: short, broken and empty streams fail") {
  const std::vector<uint8_t> text = Text(2, kUnit);
  const std::vector<uint8_t> packed = ZlibDeflate(text, 12);
  Inflater inflater;
  std::vector<uint8_t> out(2 * kUnit);
  CHECK(!inflater.Inflate(packed.data(), packed.size() / 2, out.data(), kUnit));
  CHECK(!inflater.Inflate(packed.data(), 0, out.data(), kUnit));
  CHECK(!inflater.Inflate(packed.data(), packed.size(), out.data(), 2 * kUnit));
  check::Random random(3);
  size_t good = 0;
  for (int round = 0; round < 2000; round++) {
    const std::vector<uint8_t> noise = random.Bytes(random.Below(300));
    if (inflater.Inflate(noise.data(), noise.size(), out.data(), kUnit)) good++;
  }
  CHECK_EQ(good, 0U);
  // A failure leaves nothing behind for the next one.
  CHECK(inflater.Inflate(packed.data(), packed.size(), out.data(), kUnit));
  CHECK(std::equal(text.begin(), text.end(), out.begin()));
}

TEST("inflate: bit flips neither crash nor write past the unit") {
  const std::vector<uint8_t> text = Text(4, 4096);
  const std::vector<uint8_t> packed = ZlibDeflate(text, 12);
  Inflater inflater;
  for (size_t bit = 0; bit < packed.size() * 8; bit += 3) {
    std::vector<uint8_t> broken = packed;
    broken[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    std::vector<uint8_t> out(4096);
    (void)inflater.Inflate(broken.data(), broken.size(), out.data(), out.size());
  }
}

TEST("deflate: every level reads back with a window of 4 KiB, whatever was compressed before") {
  for (int level = 0; level <= 9; level++) {
    Deflater deflater;
    CHECK_OK(deflater.Open(level));
    for (const size_t length : {size_t{512}, size_t{4096}, kUnit, size_t{2} << 20}) {
      const std::vector<uint8_t> text = Text(10 + length, length);
      std::vector<uint8_t> packed(length);
      const size_t size = deflater.Deflate(text.data(), length, packed.data(), length - 1);
      if (length > 512) CHECK(size > 0 && size < length);
      if (size == 0) continue;
      packed.resize(size);
      CHECK(InflateInSmallWindow(packed, length) == text);
      std::vector<uint8_t> again(length);
      CHECK_EQ(deflater.Deflate(text.data(), length, again.data(), length - 1), size);
      again.resize(size);
      CHECK(again == packed);
    }
  }
}

TEST("deflate: the bytes after the input do not matter") {
  Deflater deflater;
  CHECK_OK(deflater.Open(1));
  std::vector<uint8_t> first(kUnit);
  std::vector<uint8_t> second(kUnit);
  for (uint64_t seed = 0; seed < 40; seed++) {
    std::vector<uint8_t> text = Text(seed, kUnit + 512);
    const size_t size = deflater.Deflate(text.data(), kUnit, first.data(), kUnit - 1);
    std::fill(text.begin() + kUnit, text.end(), text[kUnit - 1]);
    CHECK_EQ(deflater.Deflate(text.data(), kUnit, second.data(), kUnit - 1), size);
    CHECK(std::equal(first.begin(), first.begin() + static_cast<ptrdiff_t>(size), second.begin()));
  }
}

TEST("deflate: what does not shrink is refused, and the next input is not disturbed") {
  check::Random random(5);
  const std::vector<uint8_t> noise = random.Bytes(kUnit);
  const std::vector<uint8_t> text = Text(6, kUnit);
  for (const int level : {0, 1, 6}) {
    Deflater deflater;
    CHECK_OK(deflater.Open(level));
    std::vector<uint8_t> out(kUnit, 0x11);
    CHECK_EQ(deflater.Deflate(noise.data(), kUnit, out.data(), kUnit - 1), 0U);
    CHECK_EQ(out.back(), 0x11);
    const size_t size = deflater.Deflate(text.data(), kUnit, out.data(), kUnit - 1);
    out.resize(size);
    CHECK(InflateInSmallWindow(out, kUnit) == text);
  }
}

TEST("zstd: there and back, garbage behind, frames in a row, short and long frames") {
  CHECK(!basecow::ZstdLibrary().empty());
  ZstdEncoder encoder;
  ZstdDecoder decoder;
  CHECK_OK(encoder.Open(0));
  CHECK_OK(decoder.Open());
  const std::vector<uint8_t> text = Text(7, kUnit);
  std::vector<uint8_t> packed(kUnit);
  packed.resize(encoder.Encode(text.data(), kUnit, packed.data(), kUnit - 1));
  CHECK(!packed.empty());
  std::vector<uint8_t> out(kUnit);
  CHECK(decoder.Decode(packed.data(), packed.size(), out.data(), kUnit));
  CHECK(out == text);

  std::vector<uint8_t> trailed = packed;
  trailed.insert(trailed.end(), 300, 0xee);
  CHECK(decoder.Decode(trailed.data(), trailed.size(), out.data(), kUnit));
  CHECK(!decoder.Decode(packed.data(), packed.size() - 1, out.data(), kUnit));
  // The frame holds more than the unit.
  CHECK(!decoder.Decode(packed.data(), packed.size(), out.data(), kUnit / 2));
  std::vector<uint8_t> longer(2 * kUnit);
  CHECK(!decoder.Decode(packed.data(), packed.size(), longer.data(), 2 * kUnit));

  std::vector<uint8_t> twice = packed;
  twice.insert(twice.end(), packed.begin(), packed.end());
  CHECK(decoder.Decode(twice.data(), twice.size(), longer.data(), 2 * kUnit));
  CHECK(std::equal(text.begin(), text.end(), longer.begin() + kUnit));

  check::Random random(8);
  const std::vector<uint8_t> noise = random.Bytes(kUnit);
  CHECK_EQ(encoder.Encode(noise.data(), kUnit, packed.data(), std::min(packed.size(), kUnit - 1)), 0U);
}

TEST("zstd: a header that claims a window of 2 GiB allocates none") {
  ZstdDecoder decoder;
  CHECK_OK(decoder.Open());
  // Magic, no content size, window descriptor 0xa8 (2^31), an empty last raw block.
  const std::vector<uint8_t> frame = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00};
  std::vector<uint8_t> out(kUnit);
  CHECK(!decoder.Decode(frame.data(), frame.size(), out.data(), kUnit));
}
