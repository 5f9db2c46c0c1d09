// The kernels one by one, for the sets of md5_kernels.cc. Each needs the instructions that its name tells.
#pragma once

#include <cstddef>
#include <cstdint>

namespace basecow::md5 {

using One = void(uint32_t state[4], const uint8_t* data, size_t blocks);
using Many = void(uint32_t* const* states, const uint8_t* const* data, size_t blocks);

One Portable1;
Many Portable2;
Many Portable3;

#if defined(__x86_64__)
// BMI1.
One Scalar1;
Many Scalar2;
Many Scalar3;
// AVX2: one to three vectors of 8 lanes.
Many Avx2x8;
Many Avx2x2x8;
Many Avx2x3x8;
// AVX-512 F and VL: one stream; 4, 8 or 16 lanes of one vector; two or three vectors of 8,
// two of 16.
One Avx512One;
Many Avx512x4;
Many Avx512x8;
Many Avx512x16;
Many Avx512x2x8;
Many Avx512x3x8;
Many Avx512x2x16;
#endif

#if defined(__aarch64__)
Many Neon8;
Many Neon16;
#endif

}  // namespace basecow::md5
