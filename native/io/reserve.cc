#include "io/reserve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

namespace basecow {

bool OnExt4(int fd) {
  struct stat stat {};
  struct statfs filesystem {};
  return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && fstatfs(fd, &filesystem) == 0 &&
         filesystem.f_type == EXT4_SUPER_MAGIC;
}

StorageReserve::StorageReserve(int fd) : fd_(fd), useful_(OnExt4(fd)) {}

void StorageReserve::Reserve(uint64_t offset, uint64_t length) {
  if (fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) {
    return;
  }
  // EOPNOTSUPP: a file without extents (ext2, ext3). ENOSPC: the last bytes of a filesystem are the write's
  // to ask for.
  if (errno != EINTR) useful_.store(false, std::memory_order_relaxed);
}

}  // namespace basecow
