#include "codec/zstd.h"

#ifdef BASECOW_HAVE_ZSTD
#include <zstd.h>
#else
#include <dlfcn.h>
#endif

namespace basecow {

namespace {

constexpr int kDefaultLevel = 3;

#ifdef BASECOW_HAVE_ZSTD
using InBuffer = ZSTD_inBuffer;
using OutBuffer = ZSTD_outBuffer;
#else
// The stable part of zstd's ABI, so that no header is needed to use the library of the machine.
struct InBuffer {
  const void* src;
  size_t size;
  size_t pos;
};
struct OutBuffer {
  void* dst;
  size_t size;
  size_t pos;
};
#endif

struct Zstd {
  void* (*create_decoder)();
  size_t (*free_decoder)(void*);
  size_t (*reset_decoder)(void*, int);
  size_t (*decode)(void*, OutBuffer*, InBuffer*);
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
      [](void* context, int what) {
        return ZSTD_DCtx_reset(static_cast<ZSTD_DCtx*>(context), static_cast<ZSTD_ResetDirective>(what));
      },
      [](void* context, OutBuffer* out, InBuffer* in) {
        return ZSTD_decompressStream(static_cast<ZSTD_DCtx*>(context), out, in);
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
             Find(library, "ZSTD_DCtx_reset", &functions.reset_decoder) &&
             Find(library, "ZSTD_decompressStream", &functions.decode) &&
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

constexpr int kResetSession = 1;

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
  zstd->reset_decoder(context_, kResetSession);
  InBuffer input{in, length, 0};
  OutBuffer output{out, unit, 0};
  size_t hint = 0;
  while (output.pos < output.size) {
    const size_t in_before = input.pos;
    const size_t out_before = output.pos;
    hint = zstd->decode(context_, &output, &input);
    if (zstd->is_error(hint) != 0) return false;
    if (input.pos == in_before && output.pos == out_before) return false;
  }
  // Not 0: the frame holds more than the unit, so it is not what was written for it.
  return hint == 0;
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
