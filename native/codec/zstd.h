// Zstandard frames (RFC 8878) of compressed clusters, both ways.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "io/status.h"

namespace basecow {

/// One per thread; contexts are made at first use and reused.
class ZstdDecoder {
 public:
  ZstdDecoder() = default;
  ~ZstdDecoder();
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  /// ENOTSUP when the machine has no zstd.
  Status Open();
  /// True when `out` was filled, all `unit` bytes, and the frame ended there (block/qcow2-threads.c). Bytes
  /// after the frame are ignored; several frames in a row are one stream. Never writes past `unit`.
  bool Decode(const uint8_t* in, size_t length, uint8_t* out, size_t unit);

 private:
  void* context_ = nullptr;
};

/// One per thread.
class ZstdEncoder {
 public:
  ZstdEncoder() = default;
  ~ZstdEncoder();
  ZstdEncoder(const ZstdEncoder&) = delete;
  ZstdEncoder& operator=(const ZstdEncoder&) = delete;

  /// `level` 1 to 19 are zstd's; 3 is what QEMU writes. 0 = the default for VM images: zstd's fastest way of
  /// searching with a small table and matches of 5 bytes, on files of a Debian system 2.3 % larger than level
  /// 3 and 1.4 times as fast. ENOTSUP when the machine has no zstd.
  Status Open(int level);
  /// Bytes written to `out`; 0 when they would be more than `capacity`.
  size_t Encode(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  Status Set(std::initializer_list<std::pair<int, int>> parameters);

  bool tuned_ = false;
  /// Of the input that the parameters are set for.
  size_t length_ = 0;
  void* context_ = nullptr;
};

/// Such as `zstd 1.5.4`; empty when there is none.
std::string ZstdLibrary();

}  // namespace basecow
