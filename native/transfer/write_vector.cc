#include "transfer/write_vector.h"

#include <climits>

#include "transfer/messages.h"

namespace basecow {

Status VectorWriter::Add(const uint8_t* data, size_t length, uint64_t offset, uint64_t guest) {
  if (pieces_.empty() || offset != end_ || pieces_.size() >= IOV_MAX) {
    BASECOW_TRY(Flush());
    begin_ = end_ = offset;
    guest_ = guest;
  }
  if (!pieces_.empty() &&
      static_cast<const uint8_t*>(pieces_.back().iov_base) + pieces_.back().iov_len == data) {
    pieces_.back().iov_len += length;
  } else {
    pieces_.push_back({const_cast<uint8_t*>(data), length});
  }
  end_ += length;
  return Status::Ok();
}

Status VectorWriter::Flush() {
  size_t first = 0;
  uint64_t at = begin_;
  storage_.Before(begin_, end_ - begin_);
  while (first < pieces_.size()) {
    const ssize_t wrote =
        pwritev(fd_, &pieces_[first], static_cast<int>(pieces_.size() - first), static_cast<off_t>(at));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const int err = wrote == 0 ? ENOSPC : errno;
      return WriteFailed(Status::System(err, "pwritev", path_), path_, guest_, at);
    }
    at += static_cast<uint64_t>(wrote);
    auto left = static_cast<size_t>(wrote);
    while (first < pieces_.size() && left >= pieces_[first].iov_len) left -= pieces_[first++].iov_len;
    if (left != 0) {
      pieces_[first].iov_base = static_cast<uint8_t*>(pieces_[first].iov_base) + left;
      pieces_[first].iov_len -= left;
    }
  }
  pieces_.clear();
  return Status::Ok();
}

}  // namespace basecow
