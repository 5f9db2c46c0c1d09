// One algorithm over the whole stream, over each chunk of it, or (MD5) over both in the same pass: two MD5
// over the same bytes cost hardly more than one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hash/md5_many.h"
#include "transfer/digest_units.h"
#include "transfer/turn.h"

namespace basecow {

class DigestStream {
 public:
  /// `chunks`: nullptr = the whole only. Whole and chunks together: MD5 only.
  DigestStream(std::string algorithm, bool whole, const UnitMap* chunks, const Md5Kernels& md5);
  Status Open();

  /// The next bytes, which lie in `batch`. Digests of chunks that end go to their places.
  Status Data(const Batch& batch, const uint8_t* data, size_t length);
  /// The first `*done` of `run` zeros, so many that a cancel is answered in time.
  Status Zeros(const Batch& batch, uint64_t run, uint64_t* done);
  /// The whole digest.
  Status Finish(std::vector<uint8_t>* digest);

  [[nodiscard]] const std::string& algorithm() const { return algorithm_; }
  [[nodiscard]] bool whole() const { return wants_whole_; }

  Turn turn;

 private:
  struct Piece {
    const uint8_t* data;
    size_t length;
    Unit unit;
    /// The chunk ends with it.
    bool last;
  };

  Status FeedMd5(const Batch& batch, const uint8_t* data, size_t length);
  Status FeedChunks(const Batch& batch);
  void CutPieces(const Batch& batch, const uint8_t* data, size_t length);
  /// Digest of a chunk of zeros.
  Status ZeroChunk(const Batch& batch, const Unit& unit);

  const std::string algorithm_;
  const bool wants_whole_;
  const UnitMap* const chunks_;
  const Md5Kernels& md5_;
  const bool is_md5_;

  DigestState whole_;
  /// The chunk under way, and those that lie in the bytes at hand.
  DigestState chunk_;
  std::vector<Md5> inner_;
  std::vector<Piece> pieces_;
  std::vector<Md5Feed> feeds_;
  std::vector<Md5*> ended_;
  /// Bytes so far.
  uint64_t position_ = 0;
  ZeroDigests zeros_;
};

}  // namespace basecow
