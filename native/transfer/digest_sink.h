// Digests guest bytes in order, whole and in chunks. Threads read ahead; each digest takes its bytes in the
// order of the tickets, and different digests work at the same time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hash/md5.h"
#include "transfer/sink.h"

namespace basecow {

struct DigestOptions {
  /// md5, sha1, sha256, sha512; at least one.
  std::vector<std::string> algorithms;
  /// Bytes per chunk digest (by the first algorithm), 0 = none.
  uint64_t chunk_size = 0;
  const Md5Kernels* md5 = nullptr;
};

class DigestStream;

class DigestSink : public Sink {
 public:
  DigestSink();
  ~DigestSink() override;
  /// EINVAL for an unknown algorithm, ENOSYS when OpenSSL is missing.
  Status Open(const DigestOptions& options);

  [[nodiscard]] bool Skips(const Row* row) const override;
  [[nodiscard]] uint64_t ZeroRun() const override;
  [[nodiscard]] bool GapFree() const override { return true; }
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;
  Status Finish(JobTotals& totals) override;
  void Stop() override;

 private:
  std::vector<std::unique_ptr<DigestStream>> streams_;
};

}  // namespace basecow
