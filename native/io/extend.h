// Growing a file, with or without its storage.
#pragma once

#include <cstdint>
#include <string_view>

#include "io/status.h"
#include "transfer/control.h"

namespace basecow {

enum class Preallocation { kOff, kFalloc, kFull };

/// Grows a regular file to `size` bytes; one that is larger keeps its size. Storage for [from, size): none
/// (kOff), reserved (kFalloc; EOPNOTSUPP where the filesystem cannot), or written with zeros (kFull).
/// Progress counts bytes of [from, size). After an error or cancel the file has its old size again.
Status Extend(int fd, std::string_view path, uint64_t from, uint64_t size, Preallocation preallocation,
              const Control& control);

}  // namespace basecow
