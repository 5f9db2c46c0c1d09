// Our own deflate, and its prefix codes.
#include <zlib.h>

#include "check.h"
#include "codec/huffman.h"
#include "codec/window_deflate.h"
#include "guarded.h"

using basecow::CodeLengths;
using basecow::Codes;
using basecow::WindowDeflater;

namespace {

/// By zlib, a thousand bytes at a time, so that it has only its window of 2^12 bytes to look back into.
bool Inflates(const std::vector<uint8_t>& packed, const std::vector<uint8_t>& expected) {
  z_stream stream{};
  if (inflateInit2(&stream, -12) != Z_OK) return false;
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::vector<uint8_t> piece(1000);
  std::vector<uint8_t> made;
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    result = inflate(&stream, Z_NO_FLUSH);
    made.insert(made.end(), piece.begin(), piece.end() - stream.avail_out);
  }
  const bool all_read = stream.avail_in == 0;
  inflateEnd(&stream);
  return result == Z_STREAM_END && all_read && made == expected;
}

/// Bytes of a few kinds: runs, repeats at all distances, few and many symbols.
std::vector<uint8_t> Mixed(check::Random& random, size_t length) {
  std::vector<uint8_t> bytes;
  while (bytes.size() < length) {
    const size_t some = 1 + random.Below(random.Below(2) == 0 ? 20 : 3000);
    switch (random.Below(5)) {
      case 0:
        bytes.insert(bytes.end(), some, static_cast<uint8_t>(random.Below(256)));
        break;
      case 1:
        for (size_t i = 0; i < some; i++) bytes.push_back(static_cast<uint8_t>(random.Below(256)));
        break;
      case 2:
        for (size_t i = 0; i < some; i++) bytes.push_back(static_cast<uint8_t>('a' + random.Below(4)));
        break;
      default: {
        if (bytes.empty()) break;
        const size_t back = 1 + random.Below(std::min<size_t>(bytes.size(), 5000));
        for (size_t i = 0; i < some; i++) bytes.push_back(bytes[bytes.size() - back]);
      }
    }
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace

TEST("code lengths: complete, within the limit, and shorter for what is more frequent") {
  check::Random random(51);
  for (int round = 0; round < 300; round++) {
    const size_t symbols = 2 + random.Below(285);
    const unsigned limit = symbols > 100 ? 15 : 7 + static_cast<unsigned>(random.Below(9));
    std::vector<uint32_t> frequency(symbols);
    uint32_t grows = 1;
    for (uint32_t& count : frequency) {
      // Fibonacci-like weights make the deepest trees.
      grows = random.Below(8) == 0 ? 1 : grows + grows / 2 + 1;
      if (grows > 1U << 20) grows = 1;
      count = random.Below(3) == 0 ? 0 : grows;
    }
    std::vector<uint8_t> length(symbols);
    CodeLengths(frequency.data(), symbols, limit, length.data());
    uint64_t kraft = 0;
    for (size_t i = 0; i < symbols; i++) {
      CHECK(length[i] <= limit);
      if (frequency[i] != 0) CHECK(length[i] != 0);
      if (length[i] != 0) kraft += uint64_t{1} << (limit - length[i]);
      for (size_t k = 0; k < i; k++) {
        if (frequency[i] > frequency[k] && frequency[k] != 0) CHECK(length[i] <= length[k]);
      }
    }
    CHECK_EQ(kraft, uint64_t{1} << limit);
  }
}

TEST("codes: the example of RFC 1951, 3.2.2, with the first bit lowest") {
  const uint8_t length[8] = {3, 3, 3, 3, 3, 2, 4, 4};
  const uint16_t expected[8] = {0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111};
  uint16_t code[8];
  Codes(length, 8, code);
  CHECK(std::equal(code, code + 8, expected));
}

TEST("deflate: every length from nothing up, and every kind of content") {
  check::Random random(52);
  WindowDeflater deflater;
  std::vector<uint8_t> out(4 << 20);
  for (size_t length = 0; length < 300; length++) {
    for (const std::vector<uint8_t>& bytes :
         {Mixed(random, length), random.Bytes(length), std::vector<uint8_t>(length)}) {
      const size_t size = deflater.Deflate(bytes.data(), length, out.data(), out.size());
      CHECK(size > 0);
      CHECK(Inflates({out.begin(), out.begin() + static_cast<ptrdiff_t>(size)}, bytes));
    }
  }
  for (int round = 0; round < 60; round++) {
    const std::vector<uint8_t> bytes = Mixed(random, 1 + random.Below(round < 50 ? 70000 : 2 << 20));
    const size_t size = deflater.Deflate(bytes.data(), bytes.size(), out.data(), out.size());
    CHECK(Inflates({out.begin(), out.begin() + static_cast<ptrdiff_t>(size)}, bytes));
  }
}

TEST("deflate: a capacity one byte too small is refused and not overrun") {
  check::Random random(53);
  WindowDeflater deflater;
  for (int round = 0; round < 20; round++) {
    const std::vector<uint8_t> bytes = Mixed(random, 60000);
    std::vector<uint8_t> packed(120000);
    packed.resize(deflater.Deflate(bytes.data(), bytes.size(), packed.data(), packed.size()));
    std::vector<uint8_t> exact(packed.size());
    CHECK_EQ(deflater.Deflate(bytes.data(), bytes.size(), exact.data(), exact.size()), packed.size());
    CHECK(exact == packed);
    for (const size_t less : {size_t{1}, size_t{9}, packed.size() / 2, packed.size()}) {
      std::vector<uint8_t> small(packed.size() - less);
      CHECK_EQ(deflater.Deflate(bytes.data(), bytes.size(), small.data(), small.size()), 0U);
    }
  }
}

TEST("deflate: the code that every machine can run writes the same bytes") {
  check::Random random(54);
  WindowDeflater deflater;
  WindowDeflater portable(true);
  for (int round = 0; round < 60; round++) {
    const std::vector<uint8_t> bytes = Mixed(random, 1 + random.Below(round < 50 ? 70000 : 1 << 20));
    std::vector<uint8_t> first(bytes.size() + 1000);
    std::vector<uint8_t> second(bytes.size() + 1000);
    first.resize(deflater.Deflate(bytes.data(), bytes.size(), first.data(), first.size()));
    second.resize(portable.Deflate(bytes.data(), bytes.size(), second.data(), second.size()));
    CHECK(!first.empty());
    CHECK(first == second);
  }
}

TEST("deflate: matches at every distance up to the window, and none beyond it") {
  check::Random random(55);
  WindowDeflater deflater;
  std::vector<uint8_t> out(20000);
  for (size_t distance = 1; distance <= 4200; distance += distance < 40 || distance > 4080 ? 1 : 37) {
    std::vector<uint8_t> bytes = random.Bytes(distance);
    for (size_t i = 0; i < 600; i++) bytes.push_back(bytes[bytes.size() - distance]);
    const size_t size = deflater.Deflate(bytes.data(), bytes.size(), out.data(), out.size());
    CHECK(Inflates({out.begin(), out.begin() + static_cast<ptrdiff_t>(size)}, bytes));
    CHECK_EQ(size < distance + 300, distance <= 4096);
  }
}

TEST("deflate: reads nothing before or behind its input, writes nothing behind its output") {
  check::Random random(56);
  const check::Guarded input(1 << 17);
  const check::Guarded output(1 << 18);
  for (const bool portable : {false, true}) {
    WindowDeflater deflater(portable);
    for (int round = 0; round < 300; round++) {
      const std::vector<uint8_t> bytes = Mixed(random, random.Below(round < 200 ? 100 : 70000));
      uint8_t* const in = input.EndingWith(bytes);
      const size_t capacity = random.Below(bytes.size() + 40);
      uint8_t* const out = output.Ending(capacity);
      const size_t size = deflater.Deflate(in, bytes.size(), out, capacity);
      CHECK(size <= capacity);
      if (size != 0) CHECK(Inflates({out, out + size}, bytes));
      // With nothing in front of it either.
      std::copy(bytes.begin(), bytes.end(), input.Start());
      if (size != 0) CHECK_EQ(deflater.Deflate(input.Start(), bytes.size(), out, capacity), size);
    }
  }
}
