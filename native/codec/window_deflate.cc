#include "codec/window_deflate.h"

#include "codec/code_header.h"
#include "codec/huffman.h"
#include "codec/sequence_writer.h"

namespace basecow {

bool WindowDeflater::WriteBlock(const uint8_t* in, BitWriter& out, bool last) {
  uint8_t literal_length[kLiteralSymbols];
  uint8_t distance_length[kDistanceSymbols];
  uint32_t* const literals = parser_.literal_frequency;
  const uint32_t* const distances = parser_.distance_frequency;
  literals[kEndOfBlock] = 1;
  CodeLengths(literals, kLiteralSymbols, kMostCodeBits, literal_length);
  CodeLengths(distances, kDistanceSymbols, kMostCodeBits, distance_length);
  const CodeHeader header(literal_length, distance_length);

  uint64_t size = 0;
  for (size_t i = 0; i <= kEndOfBlock; i++) size += uint64_t{literals[i]} * literal_length[i];
  for (size_t slot = 0; slot < 29; slot++) {
    const size_t symbol = kEndOfBlock + 1 + slot;
    size += uint64_t{literals[symbol]} * (literal_length[symbol] + uint64_t{kLengths.extra[slot]});
  }
  for (size_t slot = 0; slot < kWindowSlots; slot++) {
    size += uint64_t{distances[slot]} * (distance_length[slot] + uint64_t{kDistances.extra[slot]});
  }
  const uint64_t bits = out.count + header.bits() + size;
  if ((bits + 7) / 8 > static_cast<uint64_t>(out.end - out.out)) return false;
  header.Write(out, last);
  WriteSequences(parser_, in, literal_length, distance_length, size, out);
  return true;
}

size_t WindowDeflater::Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  parser_.Reset();
  BitWriter bits{out, out + capacity};
  size_t at = 0;
  do {
    const size_t begin = at;
    at = parser_.Parse(in, at, length);
    if (!WriteBlock(in + begin, bits, at >= length)) return 0;
  } while (at < length);
  if (bits.count > 0) {
    if (bits.out == bits.end) return 0;
    *bits.out++ = static_cast<uint8_t>(bits.held);
  }
  return static_cast<size_t>(bits.out - out);
}

}  // namespace basecow
