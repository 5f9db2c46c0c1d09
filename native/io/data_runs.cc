#include "io/data_runs.h"

#include <unistd.h>

#include <algorithm>

namespace basecow {

Status SizeOf(int fd, std::string_view path, uint64_t* size) {
  // Unlike st_size this is right for block devices too.
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return Status::System(errno, "lseek", path);
  *size = static_cast<uint64_t>(end);
  return Status::Ok();
}

Status NextDataRun(int fd, std::string_view path, uint64_t start, uint64_t end, DataRun* run, bool* found) {
  *found = false;
  if (start >= end) return Status::Ok();
  const off_t data = lseek(fd, static_cast<off_t>(start), SEEK_DATA);
  if (data < 0) {
    // ENXIO: a hole up to the end, or `start` is past it.
    if (errno == ENXIO) return Status::Ok();
    if (errno != EINVAL && errno != EOPNOTSUPP && errno != ENOTTY)
      return Status::System(errno, "lseek", path);
    uint64_t size = 0;
    BASECOW_TRY(SizeOf(fd, path, &size));
    if (start >= size) return Status::Ok();
    *run = {start, std::min(end, size)};
    *found = true;
    return Status::Ok();
  }
  if (static_cast<uint64_t>(data) >= end) return Status::Ok();
  off_t hole = lseek(fd, data, SEEK_HOLE);
  if (hole < 0) {
    // The file was cut between the two calls: nothing is left here.
    if (errno == ENXIO) return Status::Ok();
    return Status::System(errno, "lseek", path);
  }
  // A filesystem that answers with the same place would stop the walk for ever.
  hole = std::max(hole, data + 1);
  *run = {static_cast<uint64_t>(data), std::min(end, static_cast<uint64_t>(hole))};
  *found = true;
  return Status::Ok();
}

Status DataRuns(int fd, std::string_view path, uint64_t start, uint64_t end, size_t max,
                std::vector<DataRun>* runs, uint64_t* next) {
  uint64_t at = start;
  for (size_t count = 0; count < max; ++count) {
    DataRun run{};
    bool found = false;
    BASECOW_TRY(NextDataRun(fd, path, at, end, &run, &found));
    if (!found) {
      *next = end;
      return Status::Ok();
    }
    runs->push_back(run);
    at = run.end;
  }
  *next = at;
  return Status::Ok();
}

}  // namespace basecow
