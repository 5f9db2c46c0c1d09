// A digest under way, by whatever algorithm.
#pragma once

#include <string>

#include "hash/md5.h"
#include "hash/sha.h"
#include "io/status.h"

namespace basecow {

/// Longest digest there is, bytes.
inline constexpr size_t kMaxDigest = kShaMaxBytes;

/// Bytes of a digest; 0 = unknown algorithm.
size_t DigestSize(std::string_view algorithm);

class DigestState {
 public:
  explicit DigestState(const Md5Kernels& kernels = PickMd5Kernels()) : md5_(kernels) {}

  /// Starts anew.
  Status Start(const std::string& algorithm);
  /// For feeding several at once; nullptr when the algorithm is another.
  Md5* md5() { return is_md5_ ? &md5_ : nullptr; }
  Status Update(const uint8_t* data, size_t length);
  /// Start() again before more.
  Status Final(uint8_t* digest);
  /// Becomes as far as `other` is.
  Status CopyFrom(const DigestState& other);

 private:
  bool is_md5_ = true;
  Md5 md5_;
  Sha sha_;
};

}  // namespace basecow
