#include "crypt/aes.h"

#include <dlfcn.h>

namespace basecow {

namespace {

// OpenSSL 1.1 to 3.x; declared here because the addon must build where OpenSSL's headers are not installed.
struct Evp {
  void* (*context_new)();
  void (*context_free)(void*);
  int (*init)(void* context, const void* type, void* engine, const uint8_t* key, const uint8_t* iv,
              int encrypt);
  int (*set_padding)(void* context, int padding);
  int (*update)(void* context, uint8_t* out, int* written, const uint8_t* in, int length);
  const void* (*aes_128)();
  const void* (*aes_192)();
  const void* (*aes_256)();

  [[nodiscard]] bool complete() const {
    return context_new != nullptr && context_free != nullptr && init != nullptr && set_padding != nullptr &&
           update != nullptr && aes_128 != nullptr && aes_192 != nullptr && aes_256 != nullptr;
  }
};

template <typename Function>
void Find(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

const Evp& Api() {
  // Constant once found: a table of the process's own functions, not state of an environment.
  static const Evp kApi = [] {
    Evp api{};
    Find(api.context_new, "EVP_CIPHER_CTX_new");
    Find(api.context_free, "EVP_CIPHER_CTX_free");
    Find(api.init, "EVP_CipherInit_ex");
    Find(api.set_padding, "EVP_CIPHER_CTX_set_padding");
    Find(api.update, "EVP_CipherUpdate");
    Find(api.aes_128, "EVP_aes_128_ecb");
    Find(api.aes_192, "EVP_aes_192_ecb");
    Find(api.aes_256, "EVP_aes_256_ecb");
    return api;
  }();
  return kApi;
}

Status Failed() {
  return Status::System(EIO, "cipher", {}, "OpenSSL failed");
}

}  // namespace

Aes::~Aes() {
  if (context_ != nullptr) Api().context_free(context_);
}

Status Aes::Start(const uint8_t* key, size_t bytes, Direction direction) {
  const Evp& api = Api();
  if (!api.complete()) {
    return Status::System(ENOSYS, "cipher", {}, "AES needs OpenSSL, which this Node.js was built without");
  }
  if (context_ == nullptr) context_ = api.context_new();
  if (context_ == nullptr) return Status::System(ENOMEM, "cipher", {});
  const void* const type = bytes == 16 ? api.aes_128() : bytes == 24 ? api.aes_192() : api.aes_256();
  if (api.init(context_, type, nullptr, key, nullptr, static_cast<int>(direction)) != 1 ||
      api.set_padding(context_, 0) != 1) {
    return Failed();
  }
  return Status::Ok();
}

Status Aes::Blocks(const uint8_t* in, uint8_t* out, size_t length) {
  int written = 0;
  if (context_ == nullptr || Api().update(context_, out, &written, in, static_cast<int>(length)) != 1 ||
      static_cast<size_t>(written) != length) {
    return Failed();
  }
  return Status::Ok();
}

}  // namespace basecow
