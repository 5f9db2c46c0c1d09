// Advice to the filesystem about a new file.
#pragma once

#include <cstdint>

namespace basecow {

/// Gives a new, empty file the hints that QEMU knows: no copy-on-write (FS_NOCOW_FL, btrfs) and the bytes of
/// storage to allocate at a time (FS_XFLAG_EXTSIZE, XFS; 0 = leave it). They are hints: a filesystem that
/// knows none of them, or refuses the value, is no error.
void HintNewFile(int fd, bool no_copy_on_write, uint32_t extent_size);

}  // namespace basecow
