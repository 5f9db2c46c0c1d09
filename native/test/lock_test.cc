#include "io/lock.h"

#include "check.h"
#include "io/file_io.h"

using basecow::LockType;
using basecow::OfdLock;
using basecow::OfdTest;
using basecow::OwnedFd;

namespace {

// Every open() is an open file description of its own, so two in one process conflict like two processes.
struct Pair {
  check::Folder folder;
  OwnedFd first{open((folder / "image").c_str(), O_RDWR | O_CREAT, 0600)};
  OwnedFd second{open((folder / "image").c_str(), O_RDWR)};
};

bool Take(const OwnedFd& fd, uint64_t offset, uint64_t length, LockType type) {
  bool taken = false;
  CHECK_OK(OfdLock(fd.get(), offset, length, type, &taken));
  return taken;
}

bool Held(const OwnedFd& fd, uint64_t offset, uint64_t length) {
  bool held = false;
  CHECK_OK(OfdTest(fd.get(), offset, length, &held));
  return held;
}

}  // namespace

TEST("read locks are shared, a write lock excludes") {
  const Pair files;
  CHECK(Take(files.first, 100, 1, LockType::kRead));
  CHECK(Take(files.second, 100, 1, LockType::kRead));
  CHECK(!Take(files.second, 100, 1, LockType::kWrite));
  CHECK(Take(files.second, 101, 1, LockType::kWrite));
  CHECK(!Take(files.first, 101, 1, LockType::kRead));
}

TEST("a test sees the locks of others and not its own") {
  const Pair files;
  CHECK(!Held(files.first, 200, 4));
  CHECK(Take(files.first, 203, 1, LockType::kRead));
  CHECK(!Held(files.first, 200, 4));
  CHECK(Held(files.second, 200, 4));
  CHECK(!Held(files.second, 200, 3));
  CHECK(Take(files.first, 200, 4, LockType::kUnlock));
  CHECK(!Held(files.second, 200, 4));
}

TEST("closing the description releases") {
  Pair files;
  CHECK(Take(files.first, 100, 1, LockType::kRead));
  CHECK(Held(files.second, 100, 1));
  files.first.Reset();
  CHECK(!Held(files.second, 100, 1));
}

TEST("a write lock on a read-only descriptor is an error, not a conflict") {
  const Pair files;
  const OwnedFd reader(open((files.folder / "image").c_str(), O_RDONLY));
  bool taken = true;
  const basecow::Status status = OfdLock(reader.get(), 100, 1, LockType::kWrite, &taken);
  CHECK_EQ(status.err, EBADF);
  CHECK(!taken);
}
