#include "transfer/digest_sink.h"

#include "transfer/digest_stream.h"
#include "transfer/messages.h"
#include "transfer/worker.h"

namespace basecow {

namespace {

/// Zeros are only counted on the way to the digest, so a task may hold many.
constexpr uint64_t kZeroTask = 64U << 20;
constexpr uint64_t kDataStep = 1U << 20;

}  // namespace

DigestSink::DigestSink() = default;
DigestSink::~DigestSink() = default;

Status DigestSink::Open(const DigestOptions& options) {
  if (options.algorithms.empty()) return InvalidPlan("at least one digest algorithm is needed");
  for (const std::string& algorithm : options.algorithms) {
    if (algorithm != "md5" && ShaSize(algorithm) == 0) {
      return InvalidPlan("unknown digest algorithm '" + algorithm + "'");
    }
    const uint64_t chunk = streams_.empty() ? options.chunk_size : 0;
    const Md5Kernels& kernels = options.md5 != nullptr ? *options.md5 : PortableMd5Kernels();
    streams_.push_back(std::make_unique<DigestStream>(algorithm, chunk, kernels));
    BASECOW_TRY(streams_.back()->Open());
  }
  return Status::Ok();
}

bool DigestSink::Skips(const Row* /*row*/) const {
  return false;
}

uint64_t DigestSink::ZeroRun() const {
  return kZeroTask;
}

Status DigestSink::Check(const Batch& /*batch*/) {
  return Status::Ok();
}

Status DigestSink::Process(Worker& worker, Task& task) {
  const Source& source = task.batch->source;
  uint8_t* buffer = nullptr;
  BASECOW_TRY(ForEachPart(source.rows, task.row, task.start, task.end,
                          [&](const Row* row, uint64_t from, uint64_t to) {
                            if (row == nullptr || ReadsAsZeros(row->kind)) return Status::Ok();
                            if (buffer == nullptr) buffer = worker.Main();
                            if (buffer == nullptr) return Status::System(ENOMEM, "malloc", {});
                            return worker.reader.Read(source, static_cast<size_t>(row - source.rows.data()),
                                                      from, to, buffer + (from - task.start), task);
                          }));
  for (size_t i = 0; i < streams_.size(); i++) {
    DigestStream& stream = *streams_[i];
    if (!stream.turn.Wait(task.ticket)) return Status::Cancelled();
    std::vector<uint8_t>* chunks = &task.batch->result.chunks;
    BASECOW_TRY(ForEachPart(source.rows, task.row, task.start, task.end,
                            [&](const Row* row, uint64_t from, uint64_t to) {
                              const bool zeros = row == nullptr || ReadsAsZeros(row->kind);
                              const uint64_t step = zeros ? DigestStream::kZeroStep : kDataStep;
                              for (uint64_t at = from; at < to; at += step) {
                                if (worker.Cancelled()) return Status::Cancelled();
                                const uint64_t length = std::min(step, to - at);
                                BASECOW_TRY(zeros ? stream.Zeros(length, chunks)
                                                  : stream.Data(buffer + (at - task.start), length, chunks));
                              }
                              return Status::Ok();
                            }));
    stream.turn.Pass();
  }
  return Status::Ok();
}

Status DigestSink::Finish(JobTotals& totals) {
  for (const std::unique_ptr<DigestStream>& stream : streams_) {
    Digest digest{stream->algorithm(), {}};
    BASECOW_TRY(stream->Finish(&totals.chunks, &digest.bytes));
    totals.digests.push_back(std::move(digest));
  }
  return Status::Ok();
}

void DigestSink::Stop() {
  for (const std::unique_ptr<DigestStream>& stream : streams_) stream->turn.Stop();
}

}  // namespace basecow
