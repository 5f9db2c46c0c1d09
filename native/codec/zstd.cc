#include "codec/zstd.h"

#ifdef BASECOW_HAVE_ZSTD
#include <zstd.h>
#else
#include <dlfcn.h>
#endif

namespace basecow {

namespace {

constexpr int kDefaultLevel = 3;

struct Zstd {
  void* (*create_decoder)();
  size_t (*free_decoder)(void*);
  size_t (*frame_size)(const void*, size_t);
  size_t (*decode)(void*, void*, size_t, const void*, size_t);
  void* (*create_encoder)();
  size_t (*free_encoder)(void*);
  size_t (*encode)(void*, void*, size_t, const void*, size_t, int);
  unsigned (*is_error)(size_t);
  const char* (*version)();
};

#ifdef BASECOW_HAVE_ZSTD
const Zstd* FindZstd() {
  static const Zstd functions = {
      []() -> void* { return ZSTD_createDCtx(); },
      [](void* context) { return ZSTD_freeDCtx(static_cast<ZSTD_DCtx*>(context)); },
      &ZSTD_findFrameCompressedSize,
      [](void* context, void* out, size_t capacity, const void* in, size_t length) {
        return ZSTD_decompressDCtx(static_cast<ZSTD_DCtx*>(context), out, capacity, in, length);
      },
      []() -> void* { return ZSTD_createCCtx(); },
      [](void* context) { return ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(context)); },
      [](void* context, void* out, size_t capacity, const void* in, size_t length, int level) {
        return ZSTD_compressCCtx(static_cast<ZSTD_CCtx*>(context), out, capacity, in, length, level);
      },
      &ZSTD_isError,
      &ZSTD_versionString,
  };
  return &functions;
}
#else
struct Loaded {
  Zstd functions{};
  bool usable = false;

  template <class Function>
  bool Find(void* library, const char* name, Function* function) {
    *function = reinterpret_cast<Function>(dlsym(library, name));
    return *function != nullptr;
  }

  // Stays loaded for the life of the process: environments come and go.
  Loaded() {
    void* library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    usable = Find(library, "ZSTD_createDCtx", &functions.create_decoder) &&
             Find(library, "ZSTD_freeDCtx", &functions.free_decoder) &&
             Find(library, "ZSTD_findFrameCompressedSize", &functions.frame_size) &&
             Find(library, "ZSTD_decompressDCtx", &functions.decode) &&
             Find(library, "ZSTD_createCCtx", &functions.create_encoder) &&
             Find(library, "ZSTD_freeCCtx", &functions.free_encoder) &&
             Find(library, "ZSTD_compressCCtx", &functions.encode) &&
             Find(library, "ZSTD_isError", &functions.is_error) &&
             Find(library, "ZSTD_versionString", &functions.version);
  }
};

const Zstd* FindZstd() {
  static const Loaded loaded;
  return loaded.usable ? &loaded.functions : nullptr;
}
#endif

Status Missing() {
  Status status;
  status.err = ENOTSUP;
  status.message =
      "zstd compressed clusters need libzstd, which was found neither at build time nor on this machine";
  return status;
}

}  // namespace

ZstdDecoder::~ZstdDecoder() {
  if (context_ != nullptr) FindZstd()->free_decoder(context_);
}

Status ZstdDecoder::Open() {
  if (context_ != nullptr) return Status::Ok();
  const Zstd* zstd = FindZstd();
  if (zstd == nullptr) return Missing();
  context_ = zstd->create_decoder();
  return context_ != nullptr ? Status::Ok() : Status::System(ENOMEM, "ZSTD_createDCtx", "");
}

bool ZstdDecoder::Decode(const uint8_t* in, size_t length, uint8_t* out, size_t unit) {
  const Zstd* zstd = FindZstd();
  if (zstd == nullptr || context_ == nullptr) return false;
  // Frame by frame straight into `out`: the streaming interface would allocate whatever window a hostile
  // frame header claims.
  size_t read = 0;
  size_t made = 0;
  while (made < unit) {
    const size_t frame = zstd->frame_size(in + read, length - read);
    if (zstd->is_error(frame) != 0 || frame == 0) return false;
    const size_t size = zstd->decode(context_, out + made, unit - made, in + read, frame);
    if (zstd->is_error(size) != 0) return false;
    read += frame;
    made += size;
  }
  return true;
}

ZstdEncoder::~ZstdEncoder() {
  if (context_ != nullptr) FindZstd()->free_encoder(context_);
}

Status ZstdEncoder::Open(int level) {
  const Zstd* zstd = FindZstd();
  if (zstd == nullptr) return Missing();
  level_ = level == 0 ? kDefaultLevel : level;
  if (context_ == nullptr) context_ = zstd->create_encoder();
  return context_ != nullptr ? Status::Ok() : Status::System(ENOMEM, "ZSTD_createCCtx", "");
}

size_t ZstdEncoder::Encode(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  const Zstd* zstd = FindZstd();
  if (zstd == nullptr || context_ == nullptr) return 0;
  const size_t size = zstd->encode(context_, out, capacity, in, length, level_);
  return zstd->is_error(size) != 0 ? 0 : size;
}

std::string ZstdLibrary() {
  const Zstd* zstd = FindZstd();
  return zstd == nullptr ? std::string() : std::string("zstd ") + zstd->version();
}

}  // namespace basecow
