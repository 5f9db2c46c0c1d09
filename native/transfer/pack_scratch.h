// What a thread keeps between its place in the queue of a pack job and the writing.
#pragma once

#include <cstdint>
#include <vector>

#include "codec/deflate.h"
#include "codec/zstd.h"

namespace basecow {

struct PackCluster {
  uint64_t guest;
  /// What will be written; nullptr = all zero.
  uint8_t* data;
  /// Compressed bytes; 0 = stored plain.
  uint32_t size;
  uint64_t host;
};

struct PackScratch {
  std::vector<PackCluster> clusters;
  Deflater deflater;
  ZstdEncoder zstd;
  bool opened = false;
};

}  // namespace basecow
