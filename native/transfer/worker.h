// A job's thread: its buffers and its reader, reused from task to task.
#pragma once

#include <atomic>
#include <memory>

#include "crypt/cipher_cache.h"
#include "io/file_io.h"
#include "transfer/cache_drop.h"
#include "transfer/control.h"
#include "transfer/pack_scratch.h"
#include "transfer/reader.h"

namespace basecow {

/// What a sink keeps for a thread between its tasks.
struct WorkerScratch {
  virtual ~WorkerScratch() = default;
};

class Worker {
 public:
  Worker(const ReadOptions& options, const Control& control, const std::atomic<bool>& stopped, size_t segment)
      : reader(options, control),
        options_(options),
        control_(control),
        stopped_(stopped),
        segment_(segment) {}

  /// The job failed or was cancelled: look between pieces of work.
  [[nodiscard]] bool Cancelled() const {
    return stopped_.load(std::memory_order_relaxed) || control_.Cancelled();
  }

  [[nodiscard]] const Control& control() const { return control_; }
  /// Bytes of Main and Second.
  [[nodiscard]] size_t segment() const { return segment_; }
  [[nodiscard]] const ReadOptions& read_options() const { return options_; }

  /// One segment of memory, not zeroed; nullptr when there is none.
  uint8_t* Main() { return Get(main_); }
  uint8_t* Second() { return Get(second_); }

  Reader reader;
  CacheDrop drop;
  /// For sinks that encrypt.
  CipherCache ciphers;
  PackScratch pack;
  std::unique_ptr<WorkerScratch> scratch;

 private:
  uint8_t* Get(AlignedBuffer& buffer) const {
    if (buffer.data() == nullptr) buffer = AlignedBuffer(segment_);
    return buffer.data();
  }

  const ReadOptions options_;
  const Control& control_;
  const std::atomic<bool>& stopped_;
  size_t segment_;
  AlignedBuffer main_;
  AlignedBuffer second_;
};

}  // namespace basecow
