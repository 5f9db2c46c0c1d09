#include "io/thread.h"

#include <signal.h>

#include <memory>

namespace basecow {

namespace {

void* Enter(void* argument) {
  std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
  (*body)();
  return nullptr;
}

}  // namespace

Thread::~Thread() {
  Join();
}

Thread::Thread(Thread&& other) noexcept
    : handle_(other.handle_), started_(std::exchange(other.started_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this == &other) return *this;
  Join();
  handle_ = other.handle_;
  started_ = std::exchange(other.started_, false);
  return *this;
}

Status Thread::Start(const char* name, std::function<void()> body) {
  Join();
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  // A new thread inherits the mask of its maker.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // Synchronous faults must still end the process with the right signal.
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF})
    sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int err = pthread_create(&handle_, nullptr, Enter, owned.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (err != 0) return Status::System(err, "pthread_create", {});
  (void)owned.release();
  started_ = true;
  pthread_setname_np(handle_, name);
  return Status::Ok();
}

void Thread::Join() {
  if (!started_) return;
  pthread_join(handle_, nullptr);
  started_ = false;
}

}  // namespace basecow
