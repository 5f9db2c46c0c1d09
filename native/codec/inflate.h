// Raw deflate streams (RFC 1951) of compressed clusters back into bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace basecow {

/// One per thread; contexts are made at first use and reused.
class Inflater {
 public:
  Inflater() = default;
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// True when `out` was filled, all `unit` bytes. As QEMU (block/qcow2-threads.c): a full output is success
  /// even if the stream goes on, and bytes after the stream's end are ignored. Never writes past `unit`.
  bool Inflate(const uint8_t* in, size_t length, uint8_t* out, size_t unit);

 private:
  bool InflateTolerant(const uint8_t* in, size_t length, uint8_t* out, size_t unit);

  /// libdeflate_decompressor
  void* fast_ = nullptr;
  /// z_stream
  void* tolerant_ = nullptr;
};

/// Such as `libdeflate 1.14` or `zlib 1.2.13`.
std::string InflateLibrary();

}  // namespace basecow
