// Lets threads through one at a time in the order of their tickets.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace basecow {

class Turn {
 public:
  /// Waits until all tickets before this one have passed; false = stopped, give up.
  bool Wait(uint64_t ticket) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stopped_ || next_ == ticket; });
    return !stopped_;
  }

  void Pass() {
    {
      const std::lock_guard lock(mutex_);
      next_++;
    }
    wake_.notify_all();
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  uint64_t next_ = 0;
  bool stopped_ = false;
};

}  // namespace basecow
