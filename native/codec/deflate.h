// Bytes into raw deflate streams that every qcow2 reader takes: no match reaches back more than 4 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "io/status.h"

namespace basecow {

/// One per thread; contexts are made by Open and reused.
class Deflater {
 public:
  Deflater() = default;
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  /// `level` 0 = the default for VM images: igzip level 3 where ISA-L is found, else zlib's default (what
  /// qemu-img uses). 1 to 3 are igzip's levels where ISA-L is found; everything else is zlib's.
  Status Open(int level);

  /// Bytes written to `out`; 0 when they would be more than `capacity`. `length` at most 2 MiB.
  size_t Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

 private:
  size_t DeflateIgzip(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);
  size_t DeflateZlib(const uint8_t* in, size_t length, uint8_t* out, size_t capacity);

  int igzip_level_ = 0;
  /// isal_zstream, and the memory of its level behind it.
  void* igzip_ = nullptr;
  /// z_stream
  void* zlib_ = nullptr;
};

/// What serves the default level: `isa-l 2.30.0` or `zlib 1.2.13`.
std::string DeflateLibrary();

}  // namespace basecow
