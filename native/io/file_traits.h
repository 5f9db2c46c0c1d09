// What kind of file a descriptor is, as far as it decides how to read it.
#pragma once

#include <cstdint>
#include <memory>

#include "io/file_io.h"

namespace basecow {

struct FileTraits {
  /// A regular file on a filesystem of this machine that shares its page cache with mappings: a window on it
  /// is the cheapest way to its bytes.
  bool mappable = false;
  /// Opened once more past the page cache (O_DIRECT); nullptr when that was not asked for or cannot be done.
  std::shared_ptr<const OwnedFd> direct;
};

/// `direct`: the file is to be read past the page cache.
FileTraits TraitsOf(int fd, bool direct);

/// Alignment of offset, length and memory that every O_DIRECT read here keeps, bytes.
inline constexpr uint64_t kDirectAlignment = 4096;

}  // namespace basecow
