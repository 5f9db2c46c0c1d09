#include "hash/zero_scan.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace basecow {

namespace {

bool ZeroPortable(const uint8_t* data, size_t length) {
  size_t at = 0;
  for (; at + 64 <= length; at += 64) {
    uint64_t words[8];
    memcpy(words, data + at, sizeof(words));
    const uint64_t any =
        (words[0] | words[1] | words[2] | words[3]) | (words[4] | words[5] | words[6] | words[7]);
    if (any != 0) return false;
  }
  for (; at < length; ++at)
    if (data[at] != 0) return false;
  return true;
}

#if defined(__x86_64__)

// Each kernel takes at least one step's length and covers the tail by a step that overlaps the last whole
// one.

constexpr size_t kSse2Step = 64;
constexpr size_t kAvx2Step = 128;
constexpr size_t kAvx512Step = 256;

bool ZeroSse2Step(const uint8_t* data) {
  const auto* at = reinterpret_cast<const __m128i*>(data);
  const __m128i low = _mm_or_si128(_mm_loadu_si128(at), _mm_loadu_si128(at + 1));
  const __m128i high = _mm_or_si128(_mm_loadu_si128(at + 2), _mm_loadu_si128(at + 3));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(low, high), _mm_setzero_si128())) == 0xffff;
}

bool ZeroSse2(const uint8_t* data, size_t length) {
  const uint8_t* const last = data + length - kSse2Step;
  for (const uint8_t* at = data; at < last; at += kSse2Step)
    if (!ZeroSse2Step(at)) return false;
  return ZeroSse2Step(last);
}

__attribute__((target("avx2"))) inline bool ZeroAvx2Step(const uint8_t* data) {
  const auto* at = reinterpret_cast<const __m256i*>(data);
  const __m256i low = _mm256_or_si256(_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1));
  const __m256i high = _mm256_or_si256(_mm256_loadu_si256(at + 2), _mm256_loadu_si256(at + 3));
  const __m256i any = _mm256_or_si256(low, high);
  return _mm256_testz_si256(any, any) != 0;
}

__attribute__((target("avx2"))) bool ZeroAvx2(const uint8_t* data, size_t length) {
  const uint8_t* const last = data + length - kAvx2Step;
  for (const uint8_t* at = data; at < last; at += kAvx2Step)
    if (!ZeroAvx2Step(at)) return false;
  return ZeroAvx2Step(last);
}

__attribute__((target("avx512f"))) inline bool ZeroAvx512Step(const uint8_t* data) {
  const __m512i low = _mm512_or_si512(_mm512_loadu_si512(data), _mm512_loadu_si512(data + 64));
  const __m512i high = _mm512_or_si512(_mm512_loadu_si512(data + 128), _mm512_loadu_si512(data + 192));
  const __m512i any = _mm512_or_si512(low, high);
  return _mm512_test_epi64_mask(any, any) == 0;
}

__attribute__((target("avx512f"))) bool ZeroAvx512(const uint8_t* data, size_t length) {
  const uint8_t* const last = data + length - kAvx512Step;
  for (const uint8_t* at = data; at < last; at += kAvx512Step)
    if (!ZeroAvx512Step(at)) return false;
  return ZeroAvx512Step(last);
}

#endif

}  // namespace

namespace zero_scan {

const Kernel* Kernels(size_t* count) {
#if defined(__x86_64__)
  static constexpr Kernel kKernels[] = {
      {"avx512", kAvx512Step, ZeroAvx512},
      {"avx2", kAvx2Step, ZeroAvx2},
      {"sse2", kSse2Step, ZeroSse2},
      {"portable", 1, ZeroPortable},
  };
  *count = 4;
  // Reads a constant that the compiler's runtime fills at load time; costs a few instructions.
  if (__builtin_cpu_supports("avx512f")) return kKernels;
  --*count;
  if (__builtin_cpu_supports("avx2")) return kKernels + 1;
  --*count;
  return kKernels + 2;
#else
  static constexpr Kernel kKernels[] = {{"portable", 1, ZeroPortable}};
  *count = 1;
  return kKernels;
#endif
}

}  // namespace zero_scan

bool IsZero(const void* data, size_t length) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (length < 16) return ZeroPortable(bytes, length);
  // Most blocks that are not zero show it here.
  uint64_t words[2];
  memcpy(words, bytes, sizeof(words));
  if ((words[0] | words[1]) != 0) return false;
  size_t count = 0;
  const zero_scan::Kernel* kernel = zero_scan::Kernels(&count);
  while (length < kernel->least) ++kernel;
  return kernel->scan(bytes, length);
}

size_t LeadingRun(const void* data, size_t length, size_t unit, bool* zero) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  size_t at = std::min(unit, length);
  *zero = IsZero(bytes, at);
  while (at < length) {
    const size_t piece = std::min(unit, length - at);
    if (IsZero(bytes + at, piece) != *zero) break;
    at += piece;
  }
  return at;
}

const char* ZeroScanName() {
  size_t count = 0;
  return zero_scan::Kernels(&count)->name;
}

}  // namespace basecow
