// Head of a block with dynamic codes: the code lengths, run-length and prefix coded (RFC 1951, 3.2.7).
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/bit_writer.h"
#include "codec/deflate_tables.h"

namespace basecow {

class CodeHeader {
 public:
  /// Arrays of kLiteralSymbols and kDistanceSymbols code lengths.
  CodeHeader(const uint8_t* literal_length, const uint8_t* distance_length);

  /// Bits of the whole head, block type included.
  [[nodiscard]] uint64_t bits() const { return bits_; }
  void Write(BitWriter& out, bool last) const;

 private:
  struct Run {
    uint8_t symbol;
    uint8_t extra;
  };

  void Add(unsigned symbol, size_t extra) {
    runs_[run_count_++] = {static_cast<uint8_t>(symbol), static_cast<uint8_t>(extra)};
  }

  size_t literals_ = kLiteralSymbols;
  size_t distances_ = kDistanceSymbols;
  Run runs_[kLiteralSymbols + kDistanceSymbols];
  size_t run_count_ = 0;
  uint8_t length_[19];
  uint16_t code_[19];
  size_t codes_ = 19;
  uint64_t bits_;
};

}  // namespace basecow
