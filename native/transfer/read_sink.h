// Copies guest bytes into memory.
#pragma once

#include "transfer/sink.h"

namespace basecow {

class ReadSink : public Sink {
 public:
  /// `buffer` must outlive the job; buffer[0] is guest offset `start`.
  ReadSink(uint8_t* buffer, uint64_t length, uint64_t start)
      : buffer_(buffer), length_(length), start_(start) {}

  [[nodiscard]] bool Skips(const Row* row) const override;
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;

 private:
  uint8_t* buffer_;
  uint64_t length_;
  uint64_t start_;
};

}  // namespace basecow
