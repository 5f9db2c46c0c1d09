// Digests chunks, or stretches of their own, each by itself: in any order, several on each thread side by
// side.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "transfer/digest_options.h"
#include "transfer/digest_units.h"

namespace basecow {

/// Units that go on in the next batch, from the thread that has the one part to the thread that has the next.
/// Found by the guest byte at which they go on: threads with several later parts of one unit may be waiting.
class UnitCarry {
 public:
  /// `failed`: its bytes cannot be had; the state is of no use.
  void Put(uint64_t next, const DigestState& state, bool failed, const std::string& algorithm,
           Status* status);
  /// Waits for the part before; false = the job was stopped. Batches are worked on in order, so that part is
  /// always with a thread that waits for nothing later.
  bool Take(uint64_t from, DigestState* state, bool* failed, Status* status);
  void Stop();

 private:
  struct Carried {
    std::unique_ptr<DigestState> state;
    bool failed;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::unordered_map<uint64_t, Carried> carried_;
  bool stopped_ = false;
};

/// What the threads of a job share.
struct UnitShared {
  UnitMap units;
  std::string algorithm;
  bool is_md5 = true;
  bool keep_going = false;
  const Md5Kernels* md5 = nullptr;
  ZeroDigests zeros;
  UnitCarry carry;
  /// Of the failures of all batches.
  std::mutex failures;
};

class UnitSink : public Sink {
 public:
  explicit UnitSink(const DigestOptions& options);

  [[nodiscard]] bool Skips(const Row* /*row*/) const override { return false; }
  [[nodiscard]] uint64_t Cut(const Batch& batch, uint64_t at, size_t row) const override;
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;
  void Stop() override { shared_.carry.Stop(); }

 private:
  UnitShared shared_;
  const uint32_t threads_;
  const bool gap_free_;
};

}  // namespace basecow
