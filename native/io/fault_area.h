// Address space for windows on files, in which a page that cannot be had (the file was truncated, the disk
// failed) reads as zeros and raises a flag instead of ending the process with SIGBUS.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace basecow {

/// A row of equal windows. The kernel answers an access to a page behind the end of a mapped file, or to one
/// that it cannot read, with SIGBUS; a handler, one per process and installed while there are areas, puts a
/// page of zeros there and notes the place. Faults anywhere else go to the handler that was there before.
class FaultArea {
 public:
  static constexpr size_t kMaxWindows = 40;

  FaultArea() = default;
  ~FaultArea();
  FaultArea(const FaultArea&) = delete;
  FaultArea& operator=(const FaultArea&) = delete;

  /// Reserves `windows` (1 to kMaxWindows) of `window` bytes each, a multiple of the page size. False when
  /// that cannot be had: then read() has to do.
  bool Reserve(size_t windows, size_t window);
  [[nodiscard]] bool reserved() const { return base_ != nullptr; }
  [[nodiscard]] size_t window() const { return window_; }

  /// Maps `length` (at most window()) bytes of `fd` from page-aligned `offset` on into window `index`, in
  /// place of what was there; nullptr when it cannot be done, or when somebody else has taken the signal
  /// over.
  const uint8_t* Map(size_t index, int fd, uint64_t offset, size_t length);
  /// A page of window `index` was not to be had since it was mapped; its bytes were zeros.
  [[nodiscard]] bool Faulted(size_t index) const;
  /// Lets go of all files; the addresses stay reserved.
  void Clear();

  struct Slot;

 private:
  uint8_t* base_ = nullptr;
  size_t windows_ = 0;
  size_t window_ = 0;
  bool used_ = false;
  Slot* slot_ = nullptr;
};

}  // namespace basecow
