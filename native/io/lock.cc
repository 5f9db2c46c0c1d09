#include "io/lock.h"

#include <fcntl.h>

namespace basecow {

namespace {

struct flock Range(short type, uint64_t offset, uint64_t length) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(offset);
  range.l_len = static_cast<off_t>(length);
  range.l_pid = 0;  // must be 0 for OFD locks
  return range;
}

short TypeOf(LockType type) {
  switch (type) {
    case LockType::kRead:
      return F_RDLCK;
    case LockType::kWrite:
      return F_WRLCK;
    default:
      return F_UNLCK;
  }
}

}  // namespace

Status OfdLock(int fd, uint64_t offset, uint64_t length, LockType type, bool* taken) {
  struct flock range = Range(TypeOf(type), offset, length);
  int result;
  do {
    result = fcntl(fd, F_OFD_SETLK, &range);
  } while (result < 0 && errno == EINTR);
  *taken = result == 0;
  if (result == 0 || errno == EAGAIN || errno == EACCES) return Status::Ok();
  return Status::System(errno, "fcntl(F_OFD_SETLK)", {}, "byte " + std::to_string(offset));
}

Status OfdTest(int fd, uint64_t offset, uint64_t length, bool* held) {
  struct flock range = Range(F_WRLCK, offset, length);
  int result;
  do {
    result = fcntl(fd, F_OFD_GETLK, &range);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return Status::System(errno, "fcntl(F_OFD_GETLK)", {}, "byte " + std::to_string(offset));
  *held = range.l_type != F_UNLCK;
  return Status::Ok();
}

}  // namespace basecow
