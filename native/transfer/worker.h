// A job's thread: its buffers and its reader, reused from task to task.
#pragma once

#include <atomic>

#include "io/file_io.h"
#include "transfer/cache_drop.h"
#include "transfer/control.h"
#include "transfer/pack_scratch.h"
#include "transfer/reader.h"

namespace basecow {

class Worker {
 public:
  Worker(const ReadOptions& options, const Control& control, const std::atomic<bool>& stopped, size_t segment)
      : reader(options, control), control_(control), stopped_(stopped), segment_(segment) {}

  /// The job failed or was cancelled: look between pieces of work.
  [[nodiscard]] bool Cancelled() const {
    return stopped_.load(std::memory_order_relaxed) || control_.Cancelled();
  }

  [[nodiscard]] const Control& control() const { return control_; }

  /// One segment of memory, not zeroed; nullptr when there is none.
  uint8_t* Main() { return Get(main_); }
  uint8_t* Second() { return Get(second_); }

  Reader reader;
  CacheDrop drop;
  PackScratch pack;

 private:
  uint8_t* Get(AlignedBuffer& buffer) const {
    if (buffer.data() == nullptr) buffer = AlignedBuffer(segment_);
    return buffer.data();
  }

  const Control& control_;
  const std::atomic<bool>& stopped_;
  size_t segment_;
  AlignedBuffer main_;
  AlignedBuffer second_;
};

}  // namespace basecow
