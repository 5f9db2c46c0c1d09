#include "io/fault_area.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace basecow {

struct FaultArea::Slot {
  /// 0 = not in use. Written last and cleared first.
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<size_t> window{0};
  std::atomic<bool> faulted[kMaxWindows]{};
};

namespace {

using Slot = FaultArea::Slot;

// A signal's handler belongs to the process, so this cannot be state of an environment. The handler reads the
// slots without a lock: it may run at any instant of any thread.
constexpr size_t kSlots = 256;
Slot slots[kSlots];
std::mutex mutex;
size_t areas = 0;
bool installed = false;
bool pinned = false;
uintptr_t page_size = 4096;
struct sigaction previous {};

/// The slot whose area holds `address`. Every field is looked at again before it is believed: the slot may be
/// given to another area meanwhile.
Slot* Find(uintptr_t address, size_t* index) {
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin) continue;
    const uintptr_t end = slot.end.load(std::memory_order_acquire);
    const size_t window = slot.window.load(std::memory_order_acquire);
    if (address >= end || window == 0 || slot.begin.load(std::memory_order_acquire) != begin) continue;
    *index = (address - begin) / window;
    return &slot;
  }
  return nullptr;
}

void PassOn(int number, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(number, info, context);
    return;
  }
  const bool sent = info->si_code <= 0;
  if (previous.sa_handler == SIG_IGN && sent) return;
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
    return;
  }
  // Back to the default, which ends the process: a fault comes again at once, a signal that was sent is sent
  // again and waits until this handler has returned.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(number, &standard, nullptr);
  if (sent) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
}

void OnBusError(int number, siginfo_t* info, void* context) {
  const int kept = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  size_t index = 0;
  Slot* const slot = info->si_code > 0 ? Find(address, &index) : nullptr;
  // mmap is a plain system call here: safe in a handler.
  if (slot != nullptr && index < FaultArea::kMaxWindows &&
      mmap(reinterpret_cast<void*>(address / page_size * page_size), page_size, PROT_READ,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
    slot->faulted[index].store(true, std::memory_order_release);
  } else {
    PassOn(number, info, context);
  }
  errno = kept;
}

bool HandlerIsOurs() {
  struct sigaction now {};
  return sigaction(SIGBUS, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
         now.sa_sigaction == OnBusError;
}

/// Under the lock.
bool Install() {
  if (!installed) {
    page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    if (!pinned) {
      // Who installs a handler after us may call ours for ever: the code must stay where it is.
      Dl_info self{};
      if (dladdr(reinterpret_cast<void*>(&OnBusError), &self) == 0) return false;
      if (self.dli_fname != nullptr) (void)dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
      pinned = true;
    }
    struct sigaction ours {};
    ours.sa_sigaction = OnBusError;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, nullptr, &previous) != 0 || sigaction(SIGBUS, &ours, nullptr) != 0) return false;
    installed = true;
  }
  areas++;
  return true;
}

/// Under the lock. A handler that came after ours stays, and may go on calling ours.
void Uninstall() {
  if (--areas != 0 || !HandlerIsOurs()) return;
  sigaction(SIGBUS, &previous, nullptr);
  installed = false;
}

void* ReserveAt(void* address, size_t bytes) {
  const int fixed = address == nullptr ? 0 : MAP_FIXED;
  return mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
}

}  // namespace

bool FaultArea::Reserve(size_t windows, size_t window) {
  if (reserved() || windows == 0 || windows > kMaxWindows) return false;
  const std::lock_guard lock(mutex);
  Slot* free = nullptr;
  for (Slot& slot : slots) {
    if (slot.begin.load(std::memory_order_relaxed) == 0) {
      free = &slot;
      break;
    }
  }
  if (free == nullptr) return false;
  void* const base = ReserveAt(nullptr, windows * window);
  if (base == MAP_FAILED) return false;
  if (!Install()) {
    munmap(base, windows * window);
    return false;
  }
  base_ = static_cast<uint8_t*>(base);
  windows_ = windows;
  window_ = window;
  slot_ = free;
  for (std::atomic<bool>& faulted : slot_->faulted) faulted.store(false, std::memory_order_relaxed);
  slot_->window.store(window, std::memory_order_release);
  slot_->end.store(reinterpret_cast<uintptr_t>(base_) + windows * window, std::memory_order_release);
  slot_->begin.store(reinterpret_cast<uintptr_t>(base_), std::memory_order_release);
  return true;
}

FaultArea::~FaultArea() {
  if (!reserved()) return;
  const std::lock_guard lock(mutex);
  slot_->begin.store(0, std::memory_order_release);
  munmap(base_, windows_ * window_);
  Uninstall();
}

const uint8_t* FaultArea::Map(size_t index, int fd, uint64_t offset, size_t length) {
  if (index >= windows_ || length > window_ || !HandlerIsOurs()) return nullptr;
  uint8_t* const place = base_ + index * window_;
  used_ = true;
  slot_->faulted[index].store(false, std::memory_order_relaxed);
  void* const data = mmap(place, length, PROT_READ, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset));
  return data == MAP_FAILED ? nullptr : static_cast<const uint8_t*>(data);
}

bool FaultArea::Faulted(size_t index) const {
  return slot_->faulted[index].load(std::memory_order_acquire);
}

void FaultArea::Clear() {
  if (used_) ReserveAt(base_, windows_ * window_);
  used_ = false;
}

}  // namespace basecow
