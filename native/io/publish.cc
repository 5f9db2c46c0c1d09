#include "io/publish.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "io/file_io.h"
#include "io/thread.h"

namespace basecow {

namespace {

constexpr size_t kNameMax = 255;
constexpr int kNameTries = 100;

/// The folder part of a path, with its slash; "./" when it has none.
std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

/// `.NAME.XXXXXX.basecow-tmp` beside `path`.
std::string TemporaryName(const std::string& path) {
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  static constexpr char kEnd[] = ".basecow-tmp";
  uint8_t random[6] = {};
  // Only has to differ from its neighbours': O_EXCL and linkat find out.
  if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0) random[0] = static_cast<uint8_t>(getpid());
  const std::string_view last = std::string_view(path).substr(path.rfind('/') + 1);
  std::string name = FolderOf(path) + '.';
  name.append(last.substr(0, kNameMax - 1 - 1 - sizeof(random) - (sizeof(kEnd) - 1))).push_back('.');
  for (const uint8_t byte : random) name.push_back(kLetters[byte % (sizeof(kLetters) - 1)]);
  return name + kEnd;
}

/// A file being made; until it is published its end is that nothing is left of it.
class Draft {
 public:
  explicit Draft(const PublishRequest& request) : request_(&request) {}
  ~Draft() { Discard(); }
  Draft(Draft&&) = default;
  Draft& operator=(Draft&&) = delete;
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  Status Write() {
    Status status = Open();
    if (status.ok()) status = Fill();
    if (!status.ok()) Discard();
    return status;
  }

  Status Sync() {
    if (fdatasync(fd_.get()) == 0) return Status::Ok();
    return Status::System(errno, "fdatasync", request_->path);
  }

  Status Publish() {
    Status status = temporary_.empty() ? PublishUnnamed() : PublishNamed();
    if (!status.ok()) {
      Discard();
    } else {
      fd_.Reset();
    }
    return status;
  }

  void Discard() {
    if (!temporary_.empty()) unlink(temporary_.c_str());
    temporary_.clear();
    fd_.Reset();
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const PublishRequest& request() const { return *request_; }

 private:
  Status Open() {
    const std::string folder = FolderOf(request_->path);
    fd_ = OwnedFd(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, request_->mode));
    if (fd_.valid()) return Status::Ok();
    // EISDIR: kernels that do not know the flag; EINVAL, ENOTSUP, ENOSYS: filesystems and sandboxes.
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOSYS) {
      return Status::System(errno, "open", request_->path);
    }
    for (int i = 0; i < kNameTries; ++i) {
      std::string name = TemporaryName(request_->path);
      fd_ = OwnedFd(open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, request_->mode));
      if (fd_.valid()) {
        temporary_ = std::move(name);
        return Status::Ok();
      }
      if (errno != EEXIST) break;
    }
    return Status::System(errno, "open", request_->path);
  }

  Status Fill() {
    BASECOW_TRY(WritePieces(fd_.get(), request_->path, request_->pieces));
    uint64_t end = 0;
    for (const Piece& piece : request_->pieces) end = std::max(end, piece.offset + piece.length);
    if (end == request_->length) return Status::Ok();
    if (ftruncate(fd_.get(), static_cast<off_t>(request_->length)) == 0) return Status::Ok();
    return Status::System(errno, "ftruncate", request_->path);
  }

  Status PublishUnnamed() {
    Status status = LinkFd(fd_.get(), request_->path);
    if (status.ok() || status.err != EEXIST || !request_->replace) return status;
    for (int i = 0; i < kNameTries && status.err == EEXIST; ++i) {
      std::string name = TemporaryName(request_->path);
      status = LinkFd(fd_.get(), name);
      if (status.ok()) temporary_ = std::move(name);
    }
    if (!status.ok()) return status;
    return Rename(0);
  }

  Status PublishNamed() {
    if (request_->replace) return Rename(0);
    Status status = Rename(RENAME_NOREPLACE);
    if (status.ok() || (status.err != EINVAL && status.err != ENOSYS)) return status;
    // A filesystem without that flag: a hard link does not replace either.
    if (link(temporary_.c_str(), request_->path.c_str()) < 0) {
      return Status::System(errno, "link", request_->path);
    }
    unlink(temporary_.c_str());
    temporary_.clear();
    return Status::Ok();
  }

  Status Rename(unsigned flags) {
    const char* to = request_->path.c_str();
    const int result = flags == 0 ? rename(temporary_.c_str(), to)
                                  : renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, to, flags);
    if (result < 0) return Status::System(errno, "rename", request_->path);
    temporary_.clear();
    return Status::Ok();
  }

  const PublishRequest* request_;
  OwnedFd fd_;
  /// Name it has for the moment; empty = none.
  std::string temporary_;
};

/// Calls `body(i)` for 0 <= i < count, on two threads when there is enough to do. Files of one folder share
/// its lock, so more would only wait for each other.
template <typename Body>
void ForEach(size_t count, const Body& body) {
  constexpr size_t kWorthAThread = 16;
  constexpr size_t kBatch = 4;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (;;) {
      const size_t first = next.fetch_add(kBatch);
      if (first >= count) return;
      for (size_t i = first; i < std::min(first + kBatch, count); ++i) body(i);
    }
  };
  Thread helper;
  if (count >= kWorthAThread) (void)helper.Start("basecow-publish", work);
  work();
  helper.Join();
}

void PublishEach(const std::vector<PublishRequest>& requests, const Control& control,
                 std::vector<Status>* outcomes) {
  ForEach(requests.size(), [&](size_t i) {
    Status& outcome = (*outcomes)[i];
    if (control.Cancelled()) {
      outcome = Status::Cancelled();
      return;
    }
    Draft draft(requests[i]);
    outcome = draft.Write();
    if (outcome.ok() && requests[i].sync) outcome = draft.Sync();
    if (outcome.ok()) outcome = draft.Publish();
  });
}

size_t GroupSize() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return 1 << 16;
  return std::clamp<size_t>(limit.rlim_cur / 2, 16, 1 << 16);
}

/// One syncfs for each filesystem that the written drafts are on.
void SyncGroup(const std::vector<Draft>& drafts, Status* outcomes) {
  std::map<dev_t, Status> synced;
  for (size_t i = 0; i < drafts.size(); ++i) {
    if (!outcomes[i].ok()) continue;
    const std::string& path = drafts[i].request().path;
    struct stat stat {};
    if (fstat(drafts[i].fd(), &stat) < 0) {
      outcomes[i] = Status::System(errno, "fstat", path);
      continue;
    }
    auto [at, first] = synced.try_emplace(stat.st_dev);
    if (first) at->second = SyncFilesystem(drafts[i].fd(), path);
    if (!at->second.ok()) outcomes[i] = Status::System(at->second.err, "syncfs", path);
  }
}

}  // namespace

void PublishFiles(const std::vector<PublishRequest>& requests, bool group_sync, const Control& control,
                  std::vector<Status>* outcomes) {
  outcomes->assign(requests.size(), Status::Ok());
  if (!group_sync) {
    PublishEach(requests, control, outcomes);
    return;
  }
  const size_t group = GroupSize();
  for (size_t start = 0; start < requests.size(); start += group) {
    const size_t count = std::min(group, requests.size() - start);
    Status* results = outcomes->data() + start;
    std::vector<Draft> drafts;
    drafts.reserve(count);
    for (size_t i = 0; i < count; ++i) drafts.emplace_back(requests[start + i]);
    ForEach(count,
            [&](size_t i) { results[i] = control.Cancelled() ? Status::Cancelled() : drafts[i].Write(); });
    SyncGroup(drafts, results);
    ForEach(count, [&](size_t i) {
      if (results[i].ok()) results[i] = control.Cancelled() ? Status::Cancelled() : drafts[i].Publish();
    });
  }
}

Status LinkFd(int fd, const std::string& path) {
  const std::string source = "/proc/self/fd/" + std::to_string(fd);
  if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return Status::Ok();
  int err = errno;
  if (err == ENOENT && access(source.c_str(), F_OK) < 0) {
    // No /proc here; the other way needs CAP_DAC_READ_SEARCH or Linux 6.10.
    if (linkat(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH) == 0) return Status::Ok();
    err = errno;
  }
  return Status::System(err, "link", path);
}

Status SyncFilesystem(int fd, std::string_view path) {
  if (syncfs(fd) == 0) return Status::Ok();
  return Status::System(errno, "syncfs", path);
}

}  // namespace basecow
