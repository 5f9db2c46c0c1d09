#include <zlib.h>

#include "check.h"
#include "codec/deflate.h"
#include "codec/inflate.h"
#include "codec/zstd.h"

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

}  // namespace

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
