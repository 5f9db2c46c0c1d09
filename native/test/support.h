// Jobs without JavaScript.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <vector>

#include "check.h"
#include "io/file_io.h"
#include "transfer/digest_options.h"
#include "transfer/job.h"

namespace test {

inline constexpr uint64_t kSegment = basecow::kMinSegment;

inline basecow::OwnedFd MakeFile(const std::string& path, const std::vector<uint8_t>& content) {
  basecow::OwnedFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600));
  CHECK_OK(basecow::WriteFull(fd.get(), path, content.data(), content.size(), 0));
  return fd;
}

inline std::vector<uint8_t> Content(int fd) {
  struct stat info {};
  fstat(fd, &info);
  std::vector<uint8_t> bytes(static_cast<size_t>(info.st_size));
  size_t got = 0;
  CHECK_OK(basecow::ReadFull(fd, "file", bytes.data(), bytes.size(), 0, &got));
  CHECK_EQ(got, bytes.size());
  return bytes;
}

inline basecow::Row Data(uint64_t start, uint64_t length, uint64_t offset, uint16_t file = 0) {
  return {start, length, offset, 0, 0, 0, file, basecow::Kind::kData};
}

inline basecow::Row Empty(basecow::Kind kind, uint64_t start, uint64_t length) {
  return {start, length, 0, 0, 0, 0, 0xffff, kind};
}

inline std::shared_ptr<basecow::Batch> MakeBatch(uint64_t start, uint64_t end, std::vector<basecow::Row> rows,
                                                 int fd) {
  auto batch = std::make_shared<basecow::Batch>();
  batch->start = start;
  batch->end = end;
  batch->source.rows = std::move(rows);
  batch->source.files.push_back({fd, "source", 0, 0, basecow::TraitsOf(fd, false)});
  return batch;
}

inline std::unique_ptr<basecow::Sink> MakeDigest(const basecow::DigestOptions& options) {
  std::unique_ptr<basecow::Sink> sink;
  CHECK_OK(basecow::MakeDigestSink(options, &sink));
  return sink;
}

/// A job and all that it answers.
class Run {
 public:
  explicit Run(uint32_t threads, std::unique_ptr<basecow::Sink> sink, const basecow::ReadOptions& read = {})
      : job_({threads, kSegment, read}, basecow::Control(memory_, nullptr), std::move(sink)) {}
  ~Run() { job_.AbortAndJoin(); }

  void Submit(std::shared_ptr<basecow::Batch> batch) {
    size_t number;
    {
      const std::lock_guard lock(mutex_);
      number = answers_.size();
      answers_.emplace_back();
    }
    batch->settle = [this, number](basecow::Status status, basecow::BatchResult&& result) {
      const std::lock_guard lock(mutex_);
      answers_[number] = {std::move(status), std::move(result), true};
      changed_.notify_all();
    };
    job_.Submit(std::move(batch));
  }

  /// Waits for the end.
  std::shared_ptr<basecow::JobTotals> Finish() {
    std::shared_ptr<basecow::JobTotals> end;
    job_.Finish([&](basecow::Status status, std::shared_ptr<basecow::JobTotals> totals) {
      const std::lock_guard lock(mutex_);
      status_ = std::move(status);
      end = std::move(totals);
      changed_.notify_all();
    });
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return end != nullptr; });
    }
    job_.Join();
    return end;
  }

  void Abort() {
    bool ended = false;
    job_.Abort([&] {
      const std::lock_guard lock(mutex_);
      ended = true;
      changed_.notify_all();
    });
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return ended; });
    }
    job_.Join();
  }

  void Cancel() { std::atomic_ref<int32_t>(reinterpret_cast<int32_t*>(memory_)[4]).store(1); }
  double done() { return std::atomic_ref<double>(memory_[0]).load(); }
  [[nodiscard]] const basecow::Status& status() const { return status_; }

  /// Call after the end. Every batch has been answered exactly as `status` says.
  std::vector<basecow::BatchResult> Results() {
    std::vector<basecow::BatchResult> results;
    for (Answer& answer : answers_) {
      CHECK(answer.settled);
      results.push_back(std::move(answer.result));
    }
    return results;
  }
  const basecow::Status& Answered(size_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_[number].settled; });
    return answers_[number].status;
  }

 private:
  struct Answer {
    basecow::Status status;
    basecow::BatchResult result;
    bool settled = false;
  };

  alignas(64) double memory_[8] = {};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Answer> answers_;
  basecow::Status status_;
  basecow::Job job_;
};

}  // namespace test
