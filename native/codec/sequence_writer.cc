#include "codec/sequence_writer.h"

#include <cstring>

#include "codec/cpu.h"
#include "codec/huffman.h"

namespace basecow {

namespace {

/// Code and extra bits in one piece: bits << 8 | number of bits.
struct Pieces {
  uint32_t literal[kEndOfBlock + 1];
  uint32_t length[kMostMatch + 1];
  uint32_t distance[kWindow + 1];
};

/// By the number of literals, which of three are meant. A table, as compilers make branches of conditions.
constexpr uint32_t kAll = UINT32_MAX;
constexpr uint32_t kMeant[4][3] = {{0, 0, 0}, {kAll, 0, 0}, {kAll, kAll, 0}, {kAll, kAll, kAll}};

uint32_t Piece(uint32_t code, unsigned bits) {
  return code << 8 | bits;
}

BASECOW_INLINE void MakePieces(const uint8_t* literal_length, const uint8_t* distance_length,
                               Pieces& pieces) {
  uint16_t code[kLiteralSymbols];
  Codes(literal_length, kLiteralSymbols, code);
  for (unsigned i = 0; i <= kEndOfBlock; i++) pieces.literal[i] = Piece(code[i], literal_length[i]);
  for (uint32_t length = 3; length <= kMostMatch; length++) {
    const unsigned slot = kLengths.slot[length];
    const unsigned symbol = kEndOfBlock + 1 + slot;
    const unsigned bits = literal_length[symbol];
    const uint32_t extra = length - kLengths.base[slot];
    pieces.length[length] = Piece(code[symbol] | extra << bits, bits + kLengths.extra[slot]);
  }
  Codes(distance_length, kDistanceSymbols, code);
  for (unsigned slot = 0; slot < kWindowSlots; slot++) {
    const unsigned bits = distance_length[slot];
    if (bits == 0) continue;
    uint32_t* const piece = pieces.distance + kDistances.base[slot];
    const uint32_t first = Piece(code[slot], bits + kDistances.extra[slot]);
    const uint32_t count = 1U << kDistances.extra[slot];
    for (uint32_t extra = 0; extra < count; extra++) piece[extra] = first + (extra << (bits + 8));
  }
}

/// BitWriter whose members stay in registers. kRoomy: 8 bytes more than needed may be overwritten.
template <bool kRoomy>
struct Writer {
  uint8_t* out;
  uint8_t* end;
  uint64_t held;
  /// In the lowest 8 bits; what is above them is left over from adding whole pieces.
  uint32_t count;

  BASECOW_INLINE void Put(uint32_t piece) {
    held |= uint64_t{piece >> 8} << (count & 63);
    count += piece;
  }

  BASECOW_INLINE void Flush() {
    count &= 0xff;
    if (kRoomy || end - out >= 8) {
      memcpy(out, &held, 8);
      out += count >> 3;
      held >>= count & 0x38;
      count &= 7;
      return;
    }
    for (; count >= 8; count -= 8, held >>= 8) *out++ = static_cast<uint8_t>(held);
  }
};

template <bool kRoomy>
BASECOW_INLINE void Write(const WindowParser& parser, const uint8_t* in, const Pieces& pieces,
                          BitWriter& to) {
  Writer<kRoomy> out{to.out, to.end, to.held, to.count};
  const Sequence* sequence = parser.sequences;
  const Sequence* const last = sequence + parser.count - 1;
  const auto put_many = [&](uint32_t literals) {
    for (; literals >= 4; literals -= 4, in += 4) {
      out.Put(pieces.literal[in[0]]);
      out.Put(pieces.literal[in[1]]);
      out.Put(pieces.literal[in[2]]);
      out.Put(pieces.literal[in[3]]);
      out.Flush();
    }
    return literals;
  };
  for (; sequence != last; sequence++) {
    uint32_t literals = sequence->literals;
    if (literals >= 4) [[unlikely]]
      literals = put_many(literals);
    // How many there are cannot be predicted: three are put, and those that are not meant have no bits. At
    // least as many bytes follow, in the match.
    const uint32_t first = pieces.literal[in[0]];
    const uint32_t second = pieces.literal[in[1]];
    const uint32_t third = pieces.literal[in[2]];
    out.Put(first & kMeant[literals][0]);
    out.Put(second & kMeant[literals][1]);
    out.Put(third & kMeant[literals][2]);
    out.Flush();
    out.Put(pieces.length[sequence->length]);
    out.Put(pieces.distance[sequence->distance]);
    out.Flush();
    in += literals + sequence->length;
  }
  for (uint32_t literals = put_many(last->literals); literals > 0; literals--) {
    out.Put(pieces.literal[*in++]);
    out.Flush();
  }
  out.Put(pieces.literal[kEndOfBlock]);
  out.Flush();
  to.out = out.out;
  to.held = out.held;
  to.count = out.count;
}

BASECOW_INLINE void WriteAll(const WindowParser& parser, const uint8_t* in, const uint8_t* literal_length,
                             const uint8_t* distance_length, uint64_t size, BitWriter& out) {
  Pieces pieces;
  MakePieces(literal_length, distance_length, pieces);
  const auto room = static_cast<uint64_t>(out.end - out.out);
  if ((out.count + size) / 8 + 16 <= room) {
    Write<true>(parser, in, pieces, out);
  } else {
    Write<false>(parser, in, pieces, out);
  }
}

#if defined(__x86_64__)
BASECOW_V3 void WriteV3(const WindowParser& parser, const uint8_t* in, const uint8_t* literal_length,
                        const uint8_t* distance_length, uint64_t size, BitWriter& out) {
  WriteAll(parser, in, literal_length, distance_length, size, out);
}
#endif

}  // namespace

void WriteSequences(const WindowParser& parser, const uint8_t* in, const uint8_t* literal_length,
                    const uint8_t* distance_length, uint64_t size, BitWriter& out) {
#if defined(__x86_64__)
  if (!parser.portable && HasV3()) return WriteV3(parser, in, literal_length, distance_length, size, out);
#endif
  WriteAll(parser, in, literal_length, distance_length, size, out);
}

}  // namespace basecow
