#include "io/extend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "io/file_io.h"

namespace basecow {

namespace {

// Small enough for a cancel within 50 ms (tmpfs clears what it reserves), large enough not to matter
// otherwise.
constexpr uint64_t kFallocPiece = uint64_t{64} << 20;
constexpr uint64_t kWritePiece = uint64_t{1} << 20;

Status Truncate(int fd, std::string_view path, uint64_t size) {
  int result;
  do {
    result = ftruncate(fd, static_cast<off_t>(size));
  } while (result < 0 && errno == EINTR);
  return result == 0 ? Status::Ok()
                     : Status::System(errno, "ftruncate", path, "to " + std::to_string(size) + " bytes");
}

Status Reserve(int fd, std::string_view path, uint64_t from, uint64_t size, const Control& control) {
  for (uint64_t at = from; at < size;) {
    if (control.Cancelled()) return Status::Cancelled();
    const uint64_t piece = std::min(size - at, kFallocPiece);
    // Not posix_fallocate: glibc would write to every block where the filesystem cannot reserve.
    if (fallocate(fd, 0, static_cast<off_t>(at), static_cast<off_t>(piece)) < 0) {
      if (errno == EINTR) continue;
      return Status::System(errno, "fallocate", path);
    }
    at += piece;
    control.Advance(piece);
  }
  return Status::Ok();
}

Status WriteZeros(int fd, std::string_view path, uint64_t from, uint64_t size, const Control& control) {
  const AlignedBuffer zeros(static_cast<size_t>(std::min(size - from, kWritePiece)));
  if (zeros.data() == nullptr) return Status::System(ENOMEM, "write", path);
  std::fill_n(zeros.data(), zeros.size(), uint8_t{0});
  for (uint64_t at = from; at < size;) {
    if (control.Cancelled()) return Status::Cancelled();
    const auto piece = static_cast<size_t>(std::min<uint64_t>(size - at, control.Portion(zeros.size())));
    control.Pace(piece);
    BASECOW_TRY(WriteFull(fd, path, zeros.data(), piece, at));
    at += piece;
    control.Advance(piece);
  }
  return Status::Ok();
}

}  // namespace

Status Extend(int fd, std::string_view path, uint64_t from, uint64_t size, Preallocation preallocation,
              const Control& control) {
  struct stat stat {};
  if (fstat(fd, &stat) < 0) return Status::System(errno, "fstat", path);
  if (!S_ISREG(stat.st_mode)) return Status::System(EINVAL, "ftruncate", path, "not a regular file");
  const auto old_size = static_cast<uint64_t>(stat.st_size);

  if (size > old_size) BASECOW_TRY(Truncate(fd, path, size));
  Status status;
  if (from < size && preallocation == Preallocation::kFalloc) status = Reserve(fd, path, from, size, control);
  if (from < size && preallocation == Preallocation::kFull)
    status = WriteZeros(fd, path, from, size, control);
  if (!status.ok() && size > old_size) (void)Truncate(fd, path, old_size);
  return status;
}

}  // namespace basecow
