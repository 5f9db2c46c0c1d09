// A thread whose start can fail without an exception (std::thread would end a process that runs out of
// threads).
#pragma once

#include <pthread.h>

#include <functional>

#include "io/status.h"

namespace basecow {

/// Signals are blocked in it; they belong to Node's thread. Must be joined before it is destroyed.
class Thread {
 public:
  Thread() = default;
  ~Thread();
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  /// `name`: at most 15 characters, seen in top -H. EAGAIN when the system has no more threads to give.
  Status Start(const char* name, std::function<void()> body);
  void Join();
  [[nodiscard]] bool started() const { return started_; }

 private:
  pthread_t handle_{};
  bool started_ = false;
};

}  // namespace basecow
