// Bytes into raw deflate streams that every qcow2 reader takes: no match reaches back more than 4 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "codec/window_deflate.h"
#include "io/status.h"

namespace basecow {

/// One per thread; contexts are made by Open and reused.
class Deflater {
 public:
  Deflater() = default;
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  /// `level` 0 = the default for VM images, our own, as is 3. 1 and 2 are igzip's where ISA-L is found; all
  /// others, 1 to 9, are zlib's (6 gives qemu-img's sizes at its speed).
  ///
  /// Sizes and speeds of one core relative to zlib 6 on files of a Debian system in 64 KiB clusters, AMD EPYC
  /// 9004: level 0 104.3 % at 8 to 12 times the speed, igzip 2 109.4 % and igzip 1 109.8 % at 12 to 19 times
  /// (docs/performance-codecs.md).
  Status Open(int level);

  /// Bytes written to `out`; 0 when they would be more than `capacity`. `length` at most 2 MiB.
  size_t Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  size_t DeflateIgzip(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);
  size_t DeflateZlib(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

  std::unique_ptr<WindowDeflater> window_;
  int igzip_level_ = 0;
  /// isal_zstream, and the memory of its level behind it.
  void* igzip_ = nullptr;
  /// z_stream
  void* zlib_ = nullptr;
};

/// What serves which levels: `basecow (levels 0 and 3), isa-l 2.30.0 (1 and 2), zlib 1.2.13`.
std::string DeflateLibrary();

}  // namespace basecow
