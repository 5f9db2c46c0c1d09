#include "io/write_pieces.h"

#include <sys/uio.h>

#include <array>

#include "io/file_io.h"

namespace basecow {

namespace {

constexpr size_t kMost = 256;

/// One pwritev, completed by plain writes if the system took only part of it.
Status WriteRun(int fd, std::string_view path, const Piece* pieces, size_t count) {
  if (count == 1) return WriteFull(fd, path, pieces->data, pieces->length, pieces->offset);
  std::array<iovec, kMost> vectors;
  for (size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<uint8_t*>(pieces[i].data), pieces[i].length};
  }
  const ssize_t written =
      pwritev(fd, vectors.data(), static_cast<int>(count), static_cast<off_t>(pieces->offset));
  if (written < 0 && errno != EINTR) {
    return Status::System(errno, "write", path, "at byte " + std::to_string(pieces->offset));
  }
  auto done = static_cast<size_t>(written < 0 ? 0 : written);
  for (size_t i = 0; i < count; ++i) {
    const Piece& piece = pieces[i];
    if (done >= piece.length) {
      done -= piece.length;
      continue;
    }
    BASECOW_TRY(WriteFull(fd, path, piece.data + done, piece.length - done, piece.offset + done));
    done = 0;
  }
  return Status::Ok();
}

}  // namespace

Status WritePieces(int fd, std::string_view path, const std::vector<Piece>& pieces) {
  for (size_t first = 0; first < pieces.size();) {
    size_t count = 1;
    uint64_t bytes = pieces[first].length;
    // Below the 2 GiB that one call takes.
    while (first + count < pieces.size() && count < kMost && bytes < (uint64_t{1} << 28) &&
           pieces[first].offset + bytes == pieces[first + count].offset) {
      bytes += pieces[first + count].length;
      ++count;
    }
    BASECOW_TRY(WriteRun(fd, path, &pieces[first], count));
    first += count;
  }
  return Status::Ok();
}

}  // namespace basecow
