// Zeros to write and to digest from.
#pragma once

#include <cstddef>
#include <cstdint>

namespace basecow {

inline constexpr size_t kZeroBlock = 64U << 10;
alignas(4096) inline constexpr uint8_t kZeros[kZeroBlock] = {};

}  // namespace basecow
