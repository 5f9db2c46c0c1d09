#include "transfer/cache_drop.h"

#include <fcntl.h>

namespace basecow {

// Results are ignored: this is advice about memory. Write errors come back from the caller's fsync.

void CacheDrop::Wrote(int fd, uint64_t offset, uint64_t length) {
  if (length == 0) return;
  sync_file_range(fd, static_cast<off64_t>(offset), static_cast<off64_t>(length), SYNC_FILE_RANGE_WRITE);
  Flush();
  fd_ = fd;
  offset_ = offset;
  length_ = length;
}

void CacheDrop::Flush() {
  if (fd_ < 0) return;
  sync_file_range(fd_, static_cast<off64_t>(offset_), static_cast<off64_t>(length_),
                  SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  posix_fadvise(fd_, static_cast<off_t>(offset_), static_cast<off_t>(length_), POSIX_FADV_DONTNEED);
  fd_ = -1;
}

}  // namespace basecow
