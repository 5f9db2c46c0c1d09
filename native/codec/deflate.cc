#include "codec/deflate.h"

#include <zlib.h>

#include <cstring>
#include <new>

#include "codec/isal.h"

#ifdef BASECOW_HAVE_ISAL
#include <isa-l.h>
#endif

namespace basecow {

namespace {

constexpr int kWindowBits = 12;
constexpr int kMemLevel = 9;

#ifdef BASECOW_HAVE_ISAL
/// igzip looks a few bytes past the end of its input, and what is there can change the matches it finds. So
/// that the same cluster always gives the same bytes, it compresses a copy that zeros follow.
constexpr size_t kLookahead = 512;
constexpr size_t kMostInput = 2U << 20;

struct Igzip {
  isal_zstream stream;
  uint8_t level[ISAL_DEF_LVL2_DEFAULT];
  alignas(64) uint8_t input[kMostInput + kLookahead];
};
static_assert(ISAL_DEF_LVL2_DEFAULT >= ISAL_DEF_LVL1_DEFAULT);
#endif

Status NoMemory() {
  return Status::System(ENOMEM, "deflateInit", "");
}

}  // namespace

Deflater::~Deflater() {
#ifdef BASECOW_HAVE_ISAL
  delete static_cast<Igzip*>(igzip_);
#endif
  if (zlib_ != nullptr) {
    auto* stream = static_cast<z_stream*>(zlib_);
    deflateEnd(stream);
    delete stream;
  }
}

Status Deflater::Open(int level) {
  if (level == 0 || level == 3) {
    window_.reset(new (std::nothrow) WindowDeflater);
    return window_ == nullptr ? NoMemory() : Status::Ok();
  }
#ifdef BASECOW_HAVE_ISAL
  if ((level == 1 || level == 2) && FindIsal() != nullptr) {
    igzip_level_ = level;
    if (igzip_ == nullptr) igzip_ = new (std::nothrow) Igzip;
    return igzip_ == nullptr ? NoMemory() : Status::Ok();
  }
#endif
  auto* stream = new (std::nothrow) z_stream();
  if (stream == nullptr) return NoMemory();
  if (deflateInit2(stream, level, Z_DEFLATED, -kWindowBits, kMemLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
    delete stream;
    return NoMemory();
  }
  zlib_ = stream;
  return Status::Ok();
}

size_t Deflater::Deflate(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  if (capacity == 0) return 0;
  if (window_ != nullptr) return window_->Deflate(in, length, out, capacity);
  return zlib_ != nullptr ? DeflateZlib(in, length, out, capacity) : DeflateIgzip(in, length, out, capacity);
}

size_t Deflater::DeflateIgzip([[maybe_unused]] const uint8_t* in, [[maybe_unused]] size_t length,
                              [[maybe_unused]] uint8_t* out, [[maybe_unused]] size_t capacity) {
#ifdef BASECOW_HAVE_ISAL
  auto* igzip = static_cast<Igzip*>(igzip_);
  const Isal* isal = FindIsal();
  if (igzip == nullptr || isal == nullptr || length > kMostInput) return 0;
  memcpy(igzip->input, in, length);
  memset(igzip->input + length, 0, kLookahead);
  isal_zstream& stream = igzip->stream;
  isal->deflate_init(&stream);
  stream.level = static_cast<uint32_t>(igzip_level_);
  stream.level_buf = igzip->level;
  stream.level_buf_size = sizeof igzip->level;
  stream.gzip_flag = IGZIP_DEFLATE;
  stream.hist_bits = kWindowBits;
  stream.end_of_stream = 1;
  stream.flush = NO_FLUSH;
  stream.next_in = igzip->input;
  stream.avail_in = static_cast<uint32_t>(length);
  stream.next_out = out;
  stream.avail_out = static_cast<uint32_t>(capacity);
  if (isal->deflate(&stream) != COMP_OK || stream.internal_state.state != ZSTATE_END) return 0;
  return stream.total_out;
#else
  return 0;
#endif
}

size_t Deflater::DeflateZlib(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  auto* stream = static_cast<z_stream*>(zlib_);
  if (deflateReset(stream) != Z_OK) return 0;
  stream->next_in = const_cast<Bytef*>(in);
  stream->avail_in = static_cast<uInt>(length);
  stream->next_out = out;
  stream->avail_out = static_cast<uInt>(capacity);
  return deflate(stream, Z_FINISH) == Z_STREAM_END ? stream->total_out : 0;
}

std::string DeflateLibrary() {
  std::string text = "basecow (levels 0 and 3), ";
#ifdef BASECOW_HAVE_ISAL
  if (FindIsal() != nullptr) {
    text += "isa-l " + std::to_string(ISAL_MAJOR_VERSION) + "." + std::to_string(ISAL_MINOR_VERSION) + "." +
            std::to_string(ISAL_PATCH_VERSION) + " (1 and 2), ";
  }
#endif
  return text + "zlib " + zlibVersion();
}

}  // namespace basecow
