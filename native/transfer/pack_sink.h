// Packs non-zero clusters one after another into a host file being built (PackSink in src/native.ts). Threads
// read, scan and compress at the same time; in the order of their tickets they take places; then they write
// at the same time. So the bytes do not depend on how many threads there are.
#pragma once

#include <memory>
#include <string>

#include "crypt/cipher.h"
#include "io/reserve.h"
#include "transfer/pack_layout.h"
#include "transfer/sink.h"
#include "transfer/turn.h"

namespace basecow {

enum class PackCodec : uint8_t { kNone, kDeflate, kZstd };

struct PackOptions {
  int fd = -1;
  std::string path;
  uint64_t cluster_size = 0;
  uint64_t guest_size = 0;
  PackGeometry geometry;
  bool detect_zeros = true;
  bool report_zeros = false;
  PackCodec codec = PackCodec::kNone;
  int level = 0;
  bool drop_cache = false;
  /// Clusters are written encrypted; nullptr = as they are.
  std::shared_ptr<const Cipher> cipher = nullptr;
};

/// EINVAL naming the option that is wrong. `segment`: of the job.
Status ValidatePack(const PackOptions& options, uint64_t segment);

class PackSink : public Sink {
 public:
  explicit PackSink(PackOptions options)
      : options_(std::move(options)), storage_(options_.fd), layout_(options_.geometry) {}

  [[nodiscard]] bool Skips(const Row* row) const override;
  [[nodiscard]] bool WantsLast() const override { return true; }
  [[nodiscard]] bool GapFree() const override { return true; }
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;
  Status Leave(Worker& worker) override;
  Status Finish(JobTotals& totals) override;
  void Stop() override { turn_.Stop(); }

 private:
  /// Reads the task's clusters and finds out what each becomes.
  Status Gather(Worker& worker, Task& task);
  Status Prepare(Worker& worker, uint64_t guest, uint8_t* data, uint8_t** compressed);
  /// Gives places, in guest order. During the task's turn.
  Status Place(Worker& worker, BatchResult& result);
  Status Write(Worker& worker, Task& task);
  void Pass(uint64_t guest, BatchResult& result);

  const PackOptions options_;
  StorageReserve storage_;
  Turn turn_;
  /// Belongs to the thread whose turn it is.
  PackLayout layout_;
};

}  // namespace basecow
