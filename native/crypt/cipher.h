// How the guest bytes in a file are encrypted (DiskCipher in src/disk/cipher.ts).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace basecow {

/// Bytes that are encrypted as one.
inline constexpr uint64_t kCipherSector = 512;

enum class CipherMode : uint8_t { kEcb, kCbc, kXts, kCtr };
enum class IvKind : uint8_t { kNone, kPlain, kPlain64, kEssiv };

/// Bytes that are overwritten before their memory is given back.
class Secret {
 public:
  Secret() = default;
  Secret(const uint8_t* data, size_t length) : bytes_(data, data + length) {}
  ~Secret() { Wipe(); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {}
  Secret& operator=(Secret&& other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }

  [[nodiscard]] const uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] size_t size() const { return bytes_.size(); }
  bool operator==(const Secret& other) const { return bytes_ == other.bytes_; }
  void Wipe();

 private:
  std::vector<uint8_t> bytes_;
};

struct Cipher {
  CipherMode mode = CipherMode::kXts;
  IvKind iv = IvKind::kPlain64;
  /// AES: 16, 24 or 32 bytes; twice that for XTS.
  Secret key;
  /// kEssiv: the AES key that makes initialisation vectors of sector numbers.
  Secret iv_key;
  /// Sectors are numbered by guest offset instead of host offset.
  bool by_guest = false;
  /// Subtracted from that offset, bytes. Negative where guest bytes were moved down.
  int64_t origin = 0;

  bool operator==(const Cipher& other) const = default;

  /// Where a byte lies among the sectors: bytes from the first byte of sector 0 on.
  [[nodiscard]] int64_t Position(uint64_t guest, uint64_t host) const {
    return static_cast<int64_t>(by_guest ? guest : host) - origin;
  }
  /// The sector of that byte has a number, and the file has room for its beginning.
  [[nodiscard]] bool Reaches(uint64_t guest, uint64_t host) const {
    const int64_t position = Position(guest, host);
    return position >= 0 && host >= static_cast<uint64_t>(position) % kCipherSector;
  }
};

/// What it would have to be ("with a key of ..."); nullptr = it is.
const char* WhyInvalid(const Cipher& cipher);

}  // namespace basecow
