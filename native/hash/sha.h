// SHA and other digests by the OpenSSL that the Node process carries, found by name at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io/status.h"

namespace basecow {

/// Longest digest, bytes (SHA-512).
inline constexpr size_t kShaMaxBytes = 64;

class Sha {
 public:
  Sha() = default;
  ~Sha();
  Sha(Sha&& other) noexcept;
  Sha& operator=(Sha&& other) noexcept;
  Sha(const Sha&) = delete;
  Sha& operator=(const Sha&) = delete;

  /// `algorithm`: a name that ShaSize knows. ENOSYS when OpenSSL does not offer it. Starts a new digest,
  /// dropping one under way.
  Status Start(std::string_view algorithm);
  Status Update(const void* data, size_t length);
  /// Writes Size() bytes; Start() again before the next digest.
  Status Final(uint8_t* digest);
  /// Goes on from where `other` is, which must have been started.
  Status CopyFrom(const Sha& other);
  [[nodiscard]] size_t size() const { return size_; }

 private:
  static Status Failed();
  void* context_ = nullptr;
  size_t size_ = 0;
};

/// Digest length in bytes (sha1, sha2, sha3, blake2, ripemd160, sm3 by OpenSSL's names); 0 = not one of ours.
size_t ShaSize(std::string_view algorithm);

/// Such as `OpenSSL 3.0.17`; nullptr when the process carries none.
const char* ShaLibrary();

}  // namespace basecow
