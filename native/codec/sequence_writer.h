// The body of a block with dynamic codes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/bit_writer.h"
#include "codec/window_deflate.h"

namespace basecow {

/// No code may be longer: four literals then fit between two flushes.
inline constexpr unsigned kMostCodeBits = 14;

/// Writes all sequences of `parser`, which describe the bytes from `in` on, and the end of the block. `size`:
/// the bits that this takes, which the caller makes sure there is room for.
void WriteSequences(const WindowParser& parser, const uint8_t* in, const uint8_t* literal_length,
                    const uint8_t* distance_length, uint64_t size, BitWriter& out);

}  // namespace basecow
