// Which streams share a kernel's lanes, and for how long.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hash/md5_kernels.h"

namespace basecow {

/// `blocks` blocks at `data` to be compressed into `state`.
struct Md5Job {
  uint32_t* state;
  const uint8_t* data;
  size_t blocks;
  /// The scheduler's own: blocks that this stream shall be ahead of the others.
  size_t lead = 0;
};

/// Does all jobs (states are distinct; a job of 0 blocks is none). Changes and reorders `jobs`.
void RunMd5Jobs(const Md5Kernels& kernels, Md5Job* jobs, size_t count);

}  // namespace basecow
