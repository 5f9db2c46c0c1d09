// Compares two sources; finds the first guest byte that differs in each batch.
#pragma once

#include "transfer/sink.h"

namespace basecow {

class CompareSink : public Sink {
 public:
  [[nodiscard]] bool Skips(const Row* row) const override;
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;

 private:
  static Status Compare(Worker& worker, Task& task, uint64_t from, uint64_t to, bool* differs);
};

}  // namespace basecow
