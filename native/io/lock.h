// Open file description locks (fcntl(2), F_OFD_SETLK), as QEMU takes them on images. They never wait, belong
// to the open file description and go when its last descriptor is closed.
#pragma once

#include <cstdint>

#include "io/status.h"

namespace basecow {

enum class LockType { kRead, kWrite, kUnlock };

/// `*taken` = false when another description holds a conflicting lock.
Status OfdLock(int fd, uint64_t offset, uint64_t length, LockType type, bool* taken);

/// Would a write lock conflict, that is, does any other description hold a lock in the range?
Status OfdTest(int fd, uint64_t offset, uint64_t length, bool* held);

}  // namespace basecow
