// Canonical prefix codes of deflate (RFC 1951, 3.2.2).
#pragma once

#include <cstddef>
#include <cstdint>

namespace basecow {

inline constexpr size_t kMostSymbols = 288;

/// Lengths of a code that is optimal for `frequency`, but no longer than `limit` bits (at most 15); 0 =
/// unused. At least two symbols get a code, used or not, so that the code is complete and every reader takes
/// it.
void CodeLengths(const uint32_t* frequency, size_t symbols, unsigned limit, uint8_t* length);

/// The codes for these lengths, first bit lowest, as deflate's bit stream wants them.
void Codes(const uint8_t* length, size_t symbols, uint16_t* code);

}  // namespace basecow
