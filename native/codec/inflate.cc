#include "codec/inflate.h"

#include <zlib.h>

#include <climits>
#include <new>

#ifdef BASECOW_HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

namespace basecow {

Inflater::~Inflater() {
#ifdef BASECOW_HAVE_LIBDEFLATE
  if (fast_ != nullptr) libdeflate_free_decompressor(static_cast<libdeflate_decompressor*>(fast_));
#endif
  if (tolerant_ != nullptr) {
    auto* stream = static_cast<z_stream*>(tolerant_);
    inflateEnd(stream);
    delete stream;
  }
}

bool Inflater::Inflate(const uint8_t* in, size_t length, uint8_t* out, size_t unit) {
#ifdef BASECOW_HAVE_LIBDEFLATE
  if (fast_ == nullptr) fast_ = libdeflate_alloc_decompressor();
  if (fast_ != nullptr) {
    size_t used = 0;
    size_t made = 0;
    const libdeflate_result result = libdeflate_deflate_decompress_ex(
        static_cast<libdeflate_decompressor*>(fast_), in, length, out, unit, &used, &made);
    if (result == LIBDEFLATE_SUCCESS && made == unit) return true;
    // It gives up on streams that go on after the last wanted byte, or break only there. zlib decides.
  }
#endif
  return InflateTolerant(in, length, out, unit);
}

bool Inflater::InflateTolerant(const uint8_t* in, size_t length, uint8_t* out, size_t unit) {
  if (length > UINT_MAX || unit > UINT_MAX) return false;
  auto* stream = static_cast<z_stream*>(tolerant_);
  if (stream == nullptr) {
    stream = new (std::nothrow) z_stream();
    if (stream == nullptr) return false;
    // A window of 2^12 bytes is what QEMU reads with.
    if (inflateInit2(stream, -12) != Z_OK) {
      delete stream;
      return false;
    }
    tolerant_ = stream;
  } else if (inflateReset(stream) != Z_OK) {
    return false;
  }
  stream->next_in = const_cast<Bytef*>(in);
  stream->avail_in = static_cast<uInt>(length);
  stream->next_out = out;
  stream->avail_out = static_cast<uInt>(unit);
  const int result = inflate(stream, Z_FINISH);
  return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream->avail_out == 0;
}

std::string InflateLibrary() {
#ifdef BASECOW_HAVE_LIBDEFLATE
  return std::string("libdeflate ") + LIBDEFLATE_VERSION_STRING;
#else
  return std::string("zlib ") + zlibVersion();
#endif
}

}  // namespace basecow
