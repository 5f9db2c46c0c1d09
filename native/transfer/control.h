// A job's control block, shared with JavaScript (src/disk/control.ts): Float64 [0] bytes done, [1] bytes
// total; Int32 at byte 16: not 0 = cancel.
#pragma once

#include <atomic>
#include <cstdint>

namespace basecow {

inline constexpr size_t kControlBytes = 64;

/// Copyable view; the memory (and `abort`, the environment's own cancel) must outlive it.
class Control {
 public:
  Control() = default;
  Control(void* memory, const std::atomic<bool>* abort)
      : amounts_(static_cast<double*>(memory)),
        cancel_(memory == nullptr ? nullptr : static_cast<int32_t*>(memory) + 4),
        abort_(abort) {}

  [[nodiscard]] bool Cancelled() const {
    if (abort_ != nullptr && abort_->load(std::memory_order_relaxed)) return true;
    return cancel_ != nullptr && std::atomic_ref<int32_t>(*cancel_).load(std::memory_order_relaxed) != 0;
  }
  /// Adds to bytes done; from any thread.
  void Advance(uint64_t bytes) const {
    if (amounts_ == nullptr) return;
    std::atomic_ref<double>(amounts_[0]).fetch_add(static_cast<double>(bytes), std::memory_order_relaxed);
  }
  void SetTotal(uint64_t bytes) const {
    if (amounts_ == nullptr) return;
    std::atomic_ref<double>(amounts_[1]).store(static_cast<double>(bytes), std::memory_order_relaxed);
  }
  void SetTotalIfUnknown(uint64_t bytes) const {
    if (amounts_ != nullptr && std::atomic_ref<double>(amounts_[1]).load(std::memory_order_relaxed) == 0)
      SetTotal(bytes);
  }

 private:
  double* amounts_ = nullptr;
  int32_t* cancel_ = nullptr;
  const std::atomic<bool>* abort_ = nullptr;
};

}  // namespace basecow
