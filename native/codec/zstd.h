// Zstandard frames (RFC 8878) of compressed clusters, both ways.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

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

  /// `level` 0 = zstd's default (3), as QEMU. ENOTSUP when the machine has no zstd.
  Status Open(int level);
  /// Bytes written to `out`; 0 when they would be more than `capacity`.
  size_t Encode(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  int level_ = 0;
  void* context_ = nullptr;
};

/// Such as `zstd 1.5.4`; empty when there is none.
std::string ZstdLibrary();

}  // namespace basecow
