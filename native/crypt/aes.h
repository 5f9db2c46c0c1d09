// AES on whole blocks by the OpenSSL that the Node process carries, found by name at run time. Every mode is
// made of it: many blocks in one call are what keeps the processor's AES units busy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io/status.h"

namespace basecow {

inline constexpr size_t kAesBlock = 16;

class Aes {
 public:
  enum class Direction : uint8_t { kDecrypt = 0, kEncrypt = 1 };

  Aes() = default;
  /// The key schedule is wiped.
  ~Aes();
  Aes(const Aes&) = delete;
  Aes& operator=(const Aes&) = delete;

  /// `bytes`: 16, 24 or 32. ENOSYS when the process carries no OpenSSL.
  Status Start(const uint8_t* key, size_t bytes, Direction direction);
  [[nodiscard]] bool started() const { return context_ != nullptr; }
  /// Each block by itself (ECB); `length` is a multiple of kAesBlock, below 2 GiB. `out` may be `in`.
  Status Blocks(const uint8_t* in, uint8_t* out, size_t length);

 private:
  void* context_ = nullptr;
};

}  // namespace basecow
