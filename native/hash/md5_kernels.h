// What compresses MD5 blocks, and the choice among it for this processor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace basecow {

/// Compresses `blocks` (at least 1) blocks of each of `lanes` streams in the time of about one.
struct Md5Lanes {
  /// Instruction set and vectors x lanes, such as "avx512 2x16".
  const char* name;
  /// Streams that `run` takes, at most kMd5MaxLanes. The states of streams are distinct; a lane that has
  /// nothing to do may share its bytes with another.
  unsigned lanes;
  /// The fewest live streams for which this is the fastest of its set.
  unsigned least;
  void (*run)(uint32_t* const* states, const uint8_t* const* data, size_t blocks);
};

inline constexpr unsigned kMd5MaxLanes = 32;

/// A set of kernels that fit one kind of processor. Constant; chosen once per process.
struct Md5Kernels {
  /// What BASECOW_MD5 calls it.
  const char* name;
  /// One stream.
  const char* one_name;
  void (*one)(uint32_t state[4], const uint8_t* data, size_t blocks);
  /// In ascending order of `lanes` and `least`; the first is for 2 live streams.
  const Md5Lanes* many;
  size_t many_count;

  /// The kernel for `live` (at least 2) streams; it may take fewer or more lanes than that.
  [[nodiscard]] const Md5Lanes& ForLive(size_t live) const {
    const Md5Lanes* best = many;
    for (size_t i = 1; i < many_count; ++i)
      if (many[i].least <= live) best = &many[i];
    return *best;
  }
};

/// Kernels in plain C++; right on every processor.
const Md5Kernels& PortableMd5Kernels();

/// The set for this processor, or the one that the environment variable BASECOW_MD5 names when the process
/// first asks: portable, scalar (x86-64 with BMI1), avx2, avx512 (as on Intel), avx512-amd (as on Zen 4),
/// avx512-zen5 or neon. A name that is unknown, or whose instructions are missing here, is passed over;
/// Md5Choice says so.
const Md5Kernels& PickMd5Kernels();

/// The set called `name` if this processor can run it, else nullptr.
const Md5Kernels* FindMd5Kernels(const char* name);

/// Every set that this processor can run, best first by the processor's vendor and family.
const Md5Kernels* const* RunnableMd5Kernels(size_t* count);

/// One line for people: the kernels in use and, when BASECOW_MD5 was passed over, that it was.
const char* Md5Choice();

}  // namespace basecow
