// A job's control block, shared with JavaScript (src/disk/control.ts), in bytes: 0 f64 bytes done, 8 f64
// bytes total, 16 i32 not 0 = cancel, 20 i32 I/O priority as in ioprio_set(2) (0 = as it is), 24 f64 bytes
// per second (0 = no limit), 32 i64 CLOCK_MONOTONIC nanoseconds until which the bytes so far have used the
// rate up, 40 i32 nice value added (0 = none), 44 i32 threads that may work now (0 = all).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace basecow {

inline constexpr size_t kControlBytes = 64;

/// Copyable view; the memory (and `abort`, the environment's own cancel) must outlive it.
class Control {
 public:
  Control() = default;
  Control(void* memory, const std::atomic<bool>* abort)
      : amounts_(static_cast<double*>(memory)), words_(static_cast<int32_t*>(memory)), abort_(abort) {}

  [[nodiscard]] bool Cancelled() const {
    if (abort_ != nullptr && abort_->load(std::memory_order_relaxed)) return true;
    return Word(kCancel) != 0;
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

  /// Before `bytes` of data are moved: waits until the job's rate lets them go. Time that nobody used is not
  /// saved up. Returns early when the job is cancelled, which the caller sees for himself.
  void Pace(uint64_t bytes) const;
  /// Bytes that should be moved at once, at most `most`: a tenth of a second's, in whole pages, where there
  /// is a limit.
  [[nodiscard]] size_t Portion(size_t most) const;

  /// Whether the job's thread of this number (from 0) may work now. The first one always may.
  [[nodiscard]] bool Admits(size_t thread) const {
    const int32_t allowed = Word(kThreads);
    return allowed <= 0 || thread < static_cast<size_t>(allowed);
  }

  /// The job asks for a priority of its own.
  [[nodiscard]] bool HasPriority() const { return Word(kIoPriority) != 0 || Word(kNice) != 0; }
  /// Gives it to the calling thread, which must be the job's own: there is no way back.
  void Prioritize() const;

 private:
  // Places among the words.
  static constexpr size_t kCancel = 4;
  static constexpr size_t kIoPriority = 5;
  static constexpr size_t kNice = 10;
  static constexpr size_t kThreads = 11;
  // Among the amounts.
  static constexpr size_t kRate = 3;
  static constexpr size_t kFree = 4;

  [[nodiscard]] int32_t Word(size_t at) const {
    return words_ == nullptr ? 0 : std::atomic_ref<int32_t>(words_[at]).load(std::memory_order_relaxed);
  }
  [[nodiscard]] double Rate() const {
    if (amounts_ == nullptr) return 0;
    return std::atomic_ref<double>(amounts_[kRate]).load(std::memory_order_relaxed);
  }

  double* amounts_ = nullptr;
  int32_t* words_ = nullptr;
  const std::atomic<bool>* abort_ = nullptr;
};

}  // namespace basecow
