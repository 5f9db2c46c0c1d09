#include "io/file_traits.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <string>

namespace basecow {

namespace {

constexpr uint32_t kBcachefs = 0xca451a4e;

/// By name, because most of what is not listed is a network or FUSE filesystem, where a mapping is slow, or
/// stale, or faults when a server is away. (ZFS keeps a second copy of mapped pages.)
bool IsLocal(int fd) {
  struct statfs info {};
  if (fstatfs(fd, &info) != 0) return false;
  switch (static_cast<uint32_t>(info.f_type)) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case kBcachefs:
      return true;
    default:
      return false;
  }
}

}  // namespace

FileTraits TraitsOf(int fd, bool direct) {
  FileTraits traits;
  struct stat info {};
  if (fstat(fd, &info) != 0) return traits;
  if (direct) {
    // A descriptor of its own: the flag belongs to the open file, and whoever else reads through `fd` reads
    // unaligned.
    const std::string name = "/proc/self/fd/" + std::to_string(fd);
    OwnedFd opened(open(name.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK));
    if (opened.valid()) traits.direct = std::make_shared<const OwnedFd>(std::move(opened));
    return traits;
  }
  traits.mappable = S_ISREG(info.st_mode) && IsLocal(fd);
  return traits;
}

}  // namespace basecow
