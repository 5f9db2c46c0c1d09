#include "transfer/control.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace basecow {

namespace {

/// A cancel is seen within this time.
constexpr int64_t kSlice = 20'000'000;
constexpr double kSecond = 1e9;
constexpr double kPortionsPerSecond = 10;
constexpr size_t kLeastPortion = size_t{64} << 10;
constexpr size_t kPage = 4096;
/// <linux/ioprio.h>, which older systems lack.
constexpr int kIoprioWhoProcess = 1;

int64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

void Control::Pace(uint64_t bytes) const {
  const double rate = Rate();
  if (!(rate > 0) || bytes == 0) return;
  // Same bits, other type: one place of the shared memory, which JavaScript sees as BigInt64.
  const std::atomic_ref<int64_t> free(reinterpret_cast<int64_t*>(amounts_)[kFree]);
  const auto needed = static_cast<int64_t>(std::min(static_cast<double>(bytes) / rate * kSecond, 1e15));
  int64_t until = free.load(std::memory_order_relaxed);
  int64_t begin = 0;
  do {
    begin = std::max(until, Now());
  } while (!free.compare_exchange_weak(until, begin + needed, std::memory_order_relaxed));
  for (;;) {
    const int64_t left = begin - Now();
    if (left <= 0 || Cancelled()) return;
    const timespec slice{0, static_cast<long>(std::min(left, kSlice))};
    nanosleep(&slice, nullptr);
  }
}

size_t Control::Portion(size_t most) const {
  const double rate = Rate();
  if (!(rate > 0)) return most;
  const double portion = std::min(rate / kPortionsPerSecond, static_cast<double>(most));
  return std::min(most, std::max(kLeastPortion, static_cast<size_t>(portion) / kPage * kPage));
}

void Control::Prioritize() const {
  // Both are wishes: a system that does not know them, or a sandbox that forbids them, does the job all the
  // same.
  const int32_t io = Word(kIoPriority);
  if (io != 0) (void)syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, io);
  const int32_t nice = Word(kNice);
  if (nice == 0) return;
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  const int now = getpriority(PRIO_PROCESS, thread);
  (void)setpriority(PRIO_PROCESS, thread, std::min(now + nice, 19));
}

}  // namespace basecow
