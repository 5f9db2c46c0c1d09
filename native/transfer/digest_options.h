// What a digest job is to do (DigestSink in src/native.ts).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hash/md5.h"
#include "transfer/sink.h"

namespace basecow {

struct DigestOptions {
  /// Of the whole stream; none = the units alone, which needs no order.
  std::vector<std::string> algorithms;
  /// Bytes per chunk, 0 = no chunks.
  uint64_t chunk_size = 0;
  /// Batches bring stretches of their own. Goes without algorithms and chunk_size.
  bool ranges = false;
  /// Of chunks or stretches.
  std::string unit_algorithm;
  /// Where the last chunk ends, bytes.
  uint64_t size = 0;
  /// A stretch that cannot be read is noted in the batch's failures; the job goes on.
  bool keep_going = false;
  /// Threads of the job.
  uint32_t threads = 1;
  const Md5Kernels* md5 = nullptr;
};

/// EINVAL for an unknown algorithm or for options that do not fit together, ENOSYS when OpenSSL is missing.
Status MakeDigestSink(const DigestOptions& options, std::unique_ptr<Sink>* made);

}  // namespace basecow
