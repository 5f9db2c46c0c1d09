// MD5 in general registers with BMI1's "and not".
#if defined(__x86_64__)

// Before the target, so that nothing inline of the standard library is compiled for it.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hash/md5_runs.h"
#include "hash/md5_steps.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("bmi"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("bmi")
#endif

#include "hash/md5_scalar.h"

namespace basecow::md5 {

void Scalar1(uint32_t state[4], const uint8_t* data, size_t blocks) {
  Compress<1, AndNot>(&state, &data, blocks);
}

void Scalar2(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  Compress<2, AndNot>(states, data, blocks);
}

void Scalar3(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  Compress<3, AndNot>(states, data, blocks);
}

}  // namespace basecow::md5

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
