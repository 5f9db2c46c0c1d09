#include "codec/zstd.h"

#ifdef BASECOW_HAVE_ZSTD
#include <zstd.h>
#else
#include <dlfcn.h>
#endif

#include <algorithm>
#include <bit>

namespace basecow {

namespace {

// ZSTD_cParameter and ZSTD_strategy are part of the stable interface.
constexpr int kLevel = 100;
constexpr int kHashLog = 102;
constexpr int kMinMatch = 105;
constexpr int kTargetLength = 106;
constexpr int kStrategy = 107;
constexpr int kFast = 1;
#ifdef BASECOW_HAVE_ZSTD
static_assert(kLevel == ZSTD_c_compressionLevel && kHashLog == ZSTD_c_hashLog &&
              kMinMatch == ZSTD_c_minMatch && kTargetLength == ZSTD_c_targetLength &&
              kStrategy == ZSTD_c_strategy && kFast == ZSTD_fast);
#endif

struct Zstd {
  void* (*create_decoder)();
  size_t (*free_decoder)(void*);
  size_t (*frame_size)(const void*, size_t);
  size_t (*decode)(void*, void*, size_t, const void*, size_t);
  void* (*create_encoder)();
  size_t (*free_encoder)(void*);
  size_t (*set_parameter)(void*, int, int);
  size_t (*encode)(void*, void*, size_t, const void*, size_t);
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
      [](void* context, int parameter, int value) {
        return ZSTD_CCtx_setParameter(static_cast<ZSTD_CCtx*>(context),
                                      static_cast<ZSTD_cParameter>(parameter), value);
      },
      [](void* context, void* out, size_t capacity, const void* in, size_t length) {
        return ZSTD_compress2(static_cast<ZSTD_CCtx*>(context), out, capacity, in, length);
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
             Find(library, "ZSTD_CCtx_setParameter", &functions.set_parameter) &&
             Find(library, "ZSTD_compress2", &functions.encode) &&
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
  if (context_ == nullptr) context_ = zstd->create_encoder();
  if (context_ == nullptr) return Status::System(ENOMEM, "ZSTD_createCCtx", "");
  tuned_ = level == 0;
  length_ = 0;
  if (!tuned_) return Set({{kLevel, level}});
  return Set({{kStrategy, kFast}, {kMinMatch, 5}, {kTargetLength, 0}});
}

Status ZstdEncoder::Set(std::initializer_list<std::pair<int, int>> parameters) {
  for (const auto& [parameter, value] : parameters) {
    if (FindZstd()->is_error(FindZstd()->set_parameter(context_, parameter, value)) != 0) {
      return Status::System(EINVAL, "ZSTD_CCtx_setParameter", "");
    }
  }
  return Status::Ok();
}

size_t ZstdEncoder::Encode(const uint8_t* in, size_t length, uint8_t* out, size_t capacity) {
  const Zstd* zstd = FindZstd();
  if (zstd == nullptr || context_ == nullptr) return 0;
  if (tuned_ && length != length_) {
    // Its table stays in the first-level cache for clusters of the usual 64 KiB.
    const int bits = std::clamp(static_cast<int>(std::bit_width(length)) - 4, 10, 17);
    if (!Set({{kHashLog, bits}}).ok()) return 0;
    length_ = length;
  }
  const size_t size = zstd->encode(context_, out, capacity, in, length);
  return zstd->is_error(size) != 0 ? 0 : size;
}

std::string ZstdLibrary() {
  const Zstd* zstd = FindZstd();
  return zstd == nullptr ? std::string() : std::string("zstd ") + zstd->version();
}

}  // namespace basecow
