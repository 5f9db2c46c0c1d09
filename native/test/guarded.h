// Memory whose neighbours cannot be touched: finds accesses that AddressSanitizer does not see in libraries.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace check {

class Guarded {
 public:
  /// `size`: a multiple of the page size, which no machine we run on has above 64 KiB.
  explicit Guarded(size_t size) : size_(size) {
    void* const room =
        mmap(nullptr, size + 2 * kFence, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) abort();
    start_ = static_cast<uint8_t*>(room) + kFence;
    if (mprotect(start_ - kFence, kFence, PROT_NONE) != 0) abort();
    if (mprotect(start_ + size, kFence, PROT_NONE) != 0) abort();
  }
  ~Guarded() { munmap(start_ - kFence, size_ + 2 * kFence); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] uint8_t* Start() const { return start_; }
  /// The last `length` bytes.
  [[nodiscard]] uint8_t* Ending(size_t length) const { return start_ + size_ - length; }
  /// The same, with a copy of `bytes` in them.
  [[nodiscard]] uint8_t* EndingWith(const std::vector<uint8_t>& bytes) const {
    std::copy(bytes.begin(), bytes.end(), Ending(bytes.size()));
    return Ending(bytes.size());
  }

 private:
  static constexpr size_t kFence = 65536;

  uint8_t* start_;
  size_t size_;
};

}  // namespace check
