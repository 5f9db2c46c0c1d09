#include "hash/sha.h"

#include <dlfcn.h>

#include <utility>

namespace basecow {

namespace {

// OpenSSL 1.1 to 3.x; declared here because the addon must build where OpenSSL's headers are not installed.
struct Evp {
  void* (*context_new)();
  void (*context_free)(void*);
  int (*init)(void* context, const void* type, void* engine);
  int (*update)(void* context, const void* data, size_t length);
  int (*final)(void* context, unsigned char* digest, unsigned int* size);
  const void* (*by_name)(const char* name);
  int (*copy)(void* to, const void* from);

  [[nodiscard]] bool complete() const {
    return context_new != nullptr && context_free != nullptr && init != nullptr && update != nullptr &&
           final != nullptr && by_name != nullptr && copy != nullptr;
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
    Find(api.context_new, "EVP_MD_CTX_new");
    Find(api.context_free, "EVP_MD_CTX_free");
    Find(api.init, "EVP_DigestInit_ex");
    Find(api.update, "EVP_DigestUpdate");
    Find(api.final, "EVP_DigestFinal_ex");
    Find(api.by_name, "EVP_get_digestbyname");
    Find(api.copy, "EVP_MD_CTX_copy_ex");
    return api;
  }();
  return kApi;
}

}  // namespace

size_t ShaSize(std::string_view algorithm) {
  static constexpr struct {
    std::string_view name;
    size_t size;
  } kKnown[] = {
      {"sha1", 20},       {"sha224", 28},     {"sha256", 32},     {"sha384", 48},    {"sha512", 64},
      {"sha512-224", 28}, {"sha512-256", 32}, {"sha3-224", 28},   {"sha3-256", 32},  {"sha3-384", 48},
      {"sha3-512", 64},   {"blake2b512", 64}, {"blake2s256", 32}, {"ripemd160", 20}, {"sm3", 32},
  };
  for (const auto& known : kKnown) {
    if (known.name == algorithm) return known.size;
  }
  return 0;
}

const char* ShaLibrary() {
  if (!Api().complete()) return nullptr;
  const char* (*version)(int) = nullptr;
  Find(version, "OpenSSL_version");
  return version == nullptr ? "OpenSSL" : version(0);
}

Sha::~Sha() {
  if (context_ != nullptr) Api().context_free(context_);
}

Sha::Sha(Sha&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Sha& Sha::operator=(Sha&& other) noexcept {
  std::swap(context_, other.context_);
  std::swap(size_, other.size_);
  return *this;
}

Status Sha::Start(std::string_view algorithm) {
  const size_t size = ShaSize(algorithm);
  if (size == 0) {
    return Status::System(EINVAL, "digest", {}, "unknown algorithm '" + std::string(algorithm) + "'");
  }
  const Evp& api = Api();
  if (!api.complete()) {
    return Status::System(ENOSYS, "digest", {},
                          std::string(algorithm) + " needs OpenSSL, which this Node.js was built without");
  }
  if (context_ == nullptr) context_ = api.context_new();
  if (context_ == nullptr) return Status::System(ENOMEM, "digest", {});
  const void* type = api.by_name(std::string(algorithm).c_str());
  if (type == nullptr || api.init(context_, type, nullptr) != 1) {
    return Status::System(ENOSYS, "digest", {}, "OpenSSL refuses " + std::string(algorithm));
  }
  size_ = size;
  return Status::Ok();
}

Status Sha::Update(const void* data, size_t length) {
  if (context_ == nullptr || Api().update(context_, data, length) != 1) return Failed();
  return Status::Ok();
}

Status Sha::Final(uint8_t* digest) {
  if (context_ == nullptr || Api().final(context_, digest, nullptr) != 1) return Failed();
  return Status::Ok();
}

Status Sha::CopyFrom(const Sha& other) {
  if (other.context_ == nullptr) return Failed();
  if (context_ == nullptr) context_ = Api().context_new();
  if (context_ == nullptr) return Status::System(ENOMEM, "digest", {});
  if (Api().copy(context_, other.context_) != 1) return Failed();
  size_ = other.size_;
  return Status::Ok();
}

Status Sha::Failed() {
  return Status::System(EIO, "digest", {}, "OpenSSL failed");
}

}  // namespace basecow
