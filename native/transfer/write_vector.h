// Gathers pieces that lie next to each other in a file into as few pwritev calls as possible.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <string>
#include <vector>

#include "io/reserve.h"
#include "io/status.h"

namespace basecow {

class VectorWriter {
 public:
  /// `guest` offsets are for error messages.
  VectorWriter(int fd, const std::string& path, StorageReserve& storage)
      : fd_(fd), path_(path), storage_(storage) {}

  Status Add(const uint8_t* data, size_t length, uint64_t offset, uint64_t guest);
  Status Flush();

 private:
  int fd_;
  const std::string& path_;
  StorageReserve& storage_;
  std::vector<iovec> pieces_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  uint64_t guest_ = 0;
};

}  // namespace basecow
