// Cache mode none without O_DIRECT: written pages are pushed out and then dropped, one step behind the writer
// so that it rarely waits.
#pragma once

#include <cstdint>

namespace basecow {

class CacheDrop {
 public:
  /// [offset, + length) was written: starts its write-out, then waits for and drops the range before it.
  void Wrote(int fd, uint64_t offset, uint64_t length);
  /// Waits for and drops the last range.
  void Flush();

 private:
  int fd_ = -1;
  uint64_t offset_ = 0;
  uint64_t length_ = 0;
};

}  // namespace basecow
