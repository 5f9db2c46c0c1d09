// What a digest job digests each by itself: chunks of one size, or stretches that its batches bring.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "transfer/batch.h"
#include "transfer/digest_state.h"

namespace basecow {

/// One chunk or stretch; guest bytes [start, end), which may begin before its batch and end after it.
struct Unit {
  /// Within the batch.
  size_t index;
  uint64_t start;
  uint64_t end;

  [[nodiscard]] uint64_t length() const { return end - start; }
};

class UnitMap {
 public:
  UnitMap() = default;
  /// `chunk_size` 0: the batches bring their units. `size`: where the last chunk ends. `width`: bytes per
  /// digest.
  UnitMap(uint64_t chunk_size, uint64_t size, size_t width)
      : chunk_size_(chunk_size), size_(size), width_(width) {}

  /// The batch lies inside, its units are in order and touch it, its digests have room. EINVAL.
  [[nodiscard]] Status Check(const Batch& batch) const;
  /// Units that touch the batch.
  [[nodiscard]] size_t Count(const Batch& batch) const;
  [[nodiscard]] Unit At(const Batch& batch, size_t index) const;
  /// Index of the first unit that ends after `at`.
  [[nodiscard]] size_t After(const Batch& batch, uint64_t at) const;
  /// Units from `first` on that lie in rows of zeros and are all as long as the first; `row` ends after its
  /// start. 0 = the first is not all zeros, or does not lie in the batch.
  [[nodiscard]] size_t Zeros(const Batch& batch, size_t first, size_t row) const;
  /// Where the digest of a unit goes that ends in this batch.
  [[nodiscard]] uint8_t* Place(const Batch& batch, const Unit& unit) const {
    return batch.digests + unit.index * width_;
  }
  [[nodiscard]] size_t width() const { return width_; }

 private:
  uint64_t chunk_size_ = 0;
  uint64_t size_ = 0;
  size_t width_ = 0;
};

/// Digests of zeros by length, which are the same wherever they stand. Any thread.
class ZeroDigests {
 public:
  /// Copies the digest of `length` zeros to `digest`, when it is known.
  bool Find(uint64_t length, uint8_t* digest, size_t width);
  void Put(uint64_t length, const uint8_t* digest, size_t width);

 private:
  static constexpr size_t kMost = 64;
  struct Known {
    uint64_t length;
    uint8_t digest[kMaxDigest];
  };

  std::mutex mutex_;
  std::vector<Known> known_;
  size_t oldest_ = 0;
};

}  // namespace basecow
