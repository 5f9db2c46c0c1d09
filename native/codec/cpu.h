// One piece of code for several machines: written once, compiled for each, chosen at run time.
#pragma once

#define BASECOW_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
/// Three-operand shifts and bit counts: what every x86 server since 2015 has.
#define BASECOW_V3 __attribute__((target("avx2,bmi,bmi2,lzcnt")))

namespace basecow {

inline bool HasV3() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0 &&
         __builtin_cpu_supports("bmi2") != 0;
}

}  // namespace basecow
#endif
