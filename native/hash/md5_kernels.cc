#include "hash/md5_kernels.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "hash/md5_runs.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace basecow {

namespace {

// `least` is where a kernel overtakes the one before it, from measured cycles per block round (see
// docs/performance-md5.md).

constexpr Md5Lanes kPortableMany[] = {
    {"portable 2", 2, 2, md5::Portable2},
    {"portable 3", 3, 3, md5::Portable3},
};
constexpr Md5Kernels kPortable = {"portable", "portable", md5::Portable1, kPortableMany, 2};

#if defined(__x86_64__)

constexpr Md5Lanes kScalarMany[] = {
    {"scalar 2", 2, 2, md5::Scalar2},
    {"scalar 3", 3, 3, md5::Scalar3},
};
constexpr Md5Kernels kScalar = {"scalar", "scalar", md5::Scalar1, kScalarMany, 2};

constexpr Md5Lanes kAvx2Many[] = {
    {"scalar 2", 2, 2, md5::Scalar2},    {"scalar 3", 3, 3, md5::Scalar3},    {"avx2 8", 8, 4, md5::Avx2x8},
    {"avx2 2x8", 16, 10, md5::Avx2x2x8}, {"avx2 3x8", 24, 22, md5::Avx2x3x8},
};
constexpr Md5Kernels kAvx2 = {"avx2", "scalar", md5::Scalar1, kAvx2Many, 5};

// Intel: vector rotations take one cycle, so four lanes of a vector are as fast as one, and one as fast as
// can be.
constexpr Md5Lanes kAvx512Many[] = {
    {"avx512 4", 4, 2, md5::Avx512x4},
    {"avx512 8", 8, 5, md5::Avx512x8},
    {"avx512 16", 16, 9, md5::Avx512x16},
};
constexpr Md5Kernels kAvx512 = {"avx512", "avx512 1", md5::Avx512One, kAvx512Many, 3};

// AMD (Zen 4): vector rotations take two cycles, so general registers win for few streams; 512-bit
// instructions go through the 256-bit units in two halves and fill them less well than twice as many of 256
// bits.
constexpr Md5Lanes kAvx512AmdMany[] = {
    {"scalar 2", 2, 2, md5::Scalar2},        {"avx512 4", 4, 3, md5::Avx512x4},
    {"avx512 8", 8, 5, md5::Avx512x8},       {"avx512 2x8", 16, 10, md5::Avx512x2x8},
    {"avx512 3x8", 24, 19, md5::Avx512x3x8},
};
constexpr Md5Kernels kAvx512Amd = {"avx512-amd", "scalar", md5::Scalar1, kAvx512AmdMany, 5};

// AMD from Zen 5 on: four 512-bit units, but every vector instruction takes two cycles where results are
// waited for, so one vector takes 512 cycles per block whatever its width, and two take no longer.
constexpr Md5Lanes kAvx512Zen5Many[] = {
    {"scalar 2", 2, 2, md5::Scalar2},     {"scalar 3", 3, 3, md5::Scalar3},
    {"avx512 4", 4, 4, md5::Avx512x4},    {"avx512 8", 8, 5, md5::Avx512x8},
    {"avx512 16", 16, 9, md5::Avx512x16}, {"avx512 2x16", 32, 17, md5::Avx512x2x16},
};
constexpr Md5Kernels kAvx512Zen5 = {"avx512-zen5", "scalar", md5::Scalar1, kAvx512Zen5Many, 6};

enum class Maker { kIntel, kZen5, kOther };

/// By CPUID's vendor and family; AMD's Zen 5 is family 1Ah, and later ones are taken to be like it.
Maker FindMaker() {
  unsigned most = 0;
  unsigned vendor[3] = {};
  if (__get_cpuid(0, &most, &vendor[0], &vendor[2], &vendor[1]) == 0) return Maker::kOther;
  if (memcmp(vendor, "GenuineIntel", 12) == 0) return Maker::kIntel;
  unsigned version = 0;
  unsigned rest[3] = {};
  if (memcmp(vendor, "AuthenticAMD", 12) != 0 || __get_cpuid(1, &version, &rest[0], &rest[1], &rest[2]) == 0)
    return Maker::kOther;
  // "Base family", to which the "extended family" is added when it is 15.
  const unsigned base = version >> 8 & 0xf;
  const unsigned family = base == 0xf ? base + (version >> 20 & 0xff) : base;
  return family >= 0x1a ? Maker::kZen5 : Maker::kOther;
}

#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

constexpr Md5Lanes kNeonMany[] = {
    {"portable 2", 2, 2, md5::Portable2},
    {"portable 3", 3, 3, md5::Portable3},
    {"neon 2x4", 8, 4, md5::Neon8},
    {"neon 4x4", 16, 12, md5::Neon16},
};
constexpr Md5Kernels kNeon = {"neon", "portable", md5::Portable1, kNeonMany, 4};

#endif

struct Runnable {
  const Md5Kernels* sets[6] = {};
  size_t count = 0;

  Runnable() {
#if defined(__x86_64__)
    // These look at what the operating system saves, too.
    const bool bmi = __builtin_cpu_supports("bmi");
    const bool avx2 = bmi && __builtin_cpu_supports("avx2");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
      // Anybody else is taken to be like Zen 4, whose choice loses least where it is wrong.
      const Maker maker = FindMaker();
      const Md5Kernels* const best = maker == Maker::kIntel  ? &kAvx512
                                     : maker == Maker::kZen5 ? &kAvx512Zen5
                                                             : &kAvx512Amd;
      sets[count++] = best;
      if (best != &kAvx512Amd) sets[count++] = &kAvx512Amd;
      if (best != &kAvx512Zen5) sets[count++] = &kAvx512Zen5;
      if (best != &kAvx512) sets[count++] = &kAvx512;
    }
    if (avx2) sets[count++] = &kAvx2;
    if (bmi) sets[count++] = &kScalar;
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    sets[count++] = &kNeon;
#endif
    sets[count++] = &kPortable;
  }
};

const Runnable& AllRunnable() {
  static const Runnable runnable;
  return runnable;
}

struct Choice {
  const Md5Kernels* kernels;
  char text[160];

  Choice() : kernels(AllRunnable().sets[0]), text() {
    const char* wish = getenv("BASECOW_MD5");  // NOLINT(concurrency-mt-unsafe): nothing here sets variables
    const Md5Kernels* wished = wish == nullptr || *wish == '\0' ? kernels : FindMd5Kernels(wish);
    if (wished != nullptr) kernels = wished;
    const int length = snprintf(text, sizeof(text), "%s (one stream), %s (many)", kernels->one_name,
                                kernels->many[kernels->many_count - 1].name);
    if (wished == nullptr && length > 0) {
      snprintf(text + length, sizeof(text) - static_cast<size_t>(length),
               "; BASECOW_MD5=%.40s is unknown or cannot run here", wish);
    }
  }
};

const Choice& Chosen() {
  static const Choice choice;
  return choice;
}

}  // namespace

const Md5Kernels& PortableMd5Kernels() {
  return kPortable;
}

const Md5Kernels& PickMd5Kernels() {
  return *Chosen().kernels;
}

const Md5Kernels* FindMd5Kernels(const char* name) {
  const Runnable& runnable = AllRunnable();
  for (size_t i = 0; i < runnable.count; ++i)
    if (strcmp(runnable.sets[i]->name, name) == 0) return runnable.sets[i];
  return nullptr;
}

const Md5Kernels* const* RunnableMd5Kernels(size_t* count) {
  *count = AllRunnable().count;
  return AllRunnable().sets;
}

const char* Md5Choice() {
  return Chosen().text;
}

}  // namespace basecow
