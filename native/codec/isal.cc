#include "codec/isal.h"

#ifdef BASECOW_HAVE_ISAL
#include <dlfcn.h>

#include <string>

namespace basecow {

namespace {

constexpr const char* kName = "libisal.so.2";

void* OpenBesideThisFile() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&FindIsal), &info) == 0 || info.dli_fname == nullptr)
    return nullptr;
  const std::string self = info.dli_fname;
  const size_t slash = self.rfind('/');
  if (slash == std::string::npos) return nullptr;
  return dlopen((self.substr(0, slash + 1) + kName).c_str(), RTLD_NOW | RTLD_LOCAL);
}

struct Loaded {
  Isal functions{};
  bool usable = false;

  // Stays loaded for the life of the process: environments come and go.
  Loaded() {
    void* library = OpenBesideThisFile();
    if (library == nullptr) library = dlopen(kName, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    functions.deflate_init =
        reinterpret_cast<decltype(functions.deflate_init)>(dlsym(library, "isal_deflate_init"));
    functions.deflate = reinterpret_cast<decltype(functions.deflate)>(dlsym(library, "isal_deflate"));
    usable = functions.deflate_init != nullptr && functions.deflate != nullptr;
  }
};

}  // namespace

const Isal* FindIsal() {
  static const Loaded loaded;
  return loaded.usable ? &loaded.functions : nullptr;
}

}  // namespace basecow
#endif
