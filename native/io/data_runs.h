// Data and holes of a file by SEEK_DATA and SEEK_HOLE (lseek(2)). Holes are looked up, never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "io/status.h"

namespace basecow {

/// [start, end), bytes.
struct DataRun {
  uint64_t start;
  uint64_t end;
};

/// Bytes of a regular file or block device as it is now.
Status SizeOf(int fd, std::string_view path, uint64_t* size);

/// First data run that touches [start, end), clipped to it; `*found` = false when there is none. A file or
/// device that cannot tell (block devices, some network filesystems) is all data up to its size. Moves the
/// descriptor's position.
Status NextDataRun(int fd, std::string_view path, uint64_t start, uint64_t end, DataRun* run, bool* found);

/// Appends up to `max` runs of [start, end); `*next` = where the walk stopped, `end` when complete.
Status DataRuns(int fd, std::string_view path, uint64_t start, uint64_t end, size_t max,
                std::vector<DataRun>* runs, uint64_t* next);

}  // namespace basecow
