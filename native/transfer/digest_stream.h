// One algorithm over the whole stream and, if wanted, over each chunk of it in the same pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hash/md5.h"
#include "hash/sha.h"
#include "io/status.h"
#include "transfer/turn.h"

namespace basecow {

class DigestStream {
 public:
  DigestStream(std::string algorithm, uint64_t chunk_size, const Md5Kernels& md5);
  Status Open();

  /// Finished chunk digests are appended to `chunks`.
  Status Data(const uint8_t* data, uint64_t length, std::vector<uint8_t>* chunks);
  /// `length` zeros, from no memory of the caller's. At most kZeroStep bytes at a time answer a cancel in
  /// time.
  Status Zeros(uint64_t length, std::vector<uint8_t>* chunks);
  /// The last chunk, if one is begun, and the whole digest.
  Status Finish(std::vector<uint8_t>* chunks, std::vector<uint8_t>* digest);

  [[nodiscard]] const std::string& algorithm() const { return algorithm_; }

  static constexpr uint64_t kZeroStep = 1U << 20;

  Turn turn;

 private:
  Status Whole(const uint8_t* data, size_t length);
  Status EndChunk(std::vector<uint8_t>* chunks);
  /// Hashes zeros of the chunk that were only counted.
  Status CatchUp();
  /// Digest of a chunk of `length` zeros.
  Status ZeroChunk(uint64_t length, std::vector<uint8_t>* chunks);

  const std::string algorithm_;
  const uint64_t chunk_size_;
  const bool is_md5_;

  Md5 md5_;
  /// first = whole, second = chunk.
  Md5Pair pair_;
  Sha whole_;
  Sha chunk_;
  uint64_t chunk_bytes_ = 0;
  /// Of those, leading zeros that chunk_ has not been given yet.
  uint64_t owed_zeros_ = 0;
  uint64_t zero_length_ = 0;
  std::vector<uint8_t> zero_digest_;
};

}  // namespace basecow
