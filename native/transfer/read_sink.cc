#include "transfer/read_sink.h"

#include "transfer/messages.h"
#include "transfer/worker.h"

namespace basecow {

// Zeros are written too: the caller's memory need not be clean.
bool ReadSink::Skips(const Row* /*row*/) const {
  return false;
}

Status ReadSink::Check(const Batch& batch) {
  if (batch.start < start_ || batch.end - start_ > length_)
    return InvalidPlan("batch lies outside the buffer");
  return Status::Ok();
}

Status ReadSink::Process(Worker& worker, Task& task) {
  return worker.reader.Fill(task.batch->source, task.row, task.start, task.end,
                            buffer_ + (task.start - start_), task);
}

}  // namespace basecow
