// Digests guest bytes in order: the whole by one or more algorithms, and its chunks in the same pass. Threads
// read ahead; each digest takes its bytes in the order of the tickets, and different digests work at the same
// time.
#pragma once

#include <memory>
#include <vector>

#include "transfer/digest_options.h"
#include "transfer/digest_units.h"

namespace basecow {

class DigestStream;

class DigestSink : public Sink {
 public:
  explicit DigestSink(const DigestOptions& options);
  ~DigestSink() override;
  Status Open();

  [[nodiscard]] bool Skips(const Row* row) const override;
  [[nodiscard]] uint64_t ZeroRun() const override;
  [[nodiscard]] bool GapFree() const override { return true; }
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;
  Status Finish(JobTotals& totals) override;
  void Stop() override;

 private:
  UnitMap chunks_;
  bool has_chunks_;
  std::vector<std::unique_ptr<DigestStream>> streams_;
};

}  // namespace basecow
