// ISA-L's igzip, loaded at run time: it is packaged as a shared library only, and a built addon must run
// where it is missing.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef BASECOW_HAVE_ISAL
#include <isa-l/igzip_lib.h>

namespace basecow {

struct Isal {
  decltype(&isal_deflate_init) deflate_init;
  decltype(&isal_deflate) deflate;
};

/// nullptr when the library is on this machine neither beside the addon nor in the system.
const Isal* FindIsal();

}  // namespace basecow
#endif
