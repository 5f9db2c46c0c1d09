#include "transfer/digest_sink.h"

#include <algorithm>

#include "transfer/digest_read.h"
#include "transfer/digest_stream.h"
#include "transfer/worker.h"

namespace basecow {

namespace {

/// Zeros come from no memory of the task's, so it may hold many.
constexpr uint64_t kZeroTask = 64U << 20;
/// Between two looks at the cancel flag.
constexpr uint64_t kDataStep = 1U << 20;

}  // namespace

DigestSink::DigestSink(const DigestOptions& options)
    : chunks_(options.chunk_size, options.size, DigestSize(options.unit_algorithm)),
      has_chunks_(options.chunk_size != 0) {
  // A chunk list rides along with the whole when both are MD5; else it is a digest of its own, with a turn of
  // its own. It comes first, so that the next thread may begin with it while the wholes go on.
  const bool rides =
      has_chunks_ && options.unit_algorithm == "md5" &&
      std::find(options.algorithms.begin(), options.algorithms.end(), "md5") != options.algorithms.end();
  if (has_chunks_ && !rides) {
    streams_.push_back(std::make_unique<DigestStream>(options.unit_algorithm, false, &chunks_, *options.md5));
  }
  for (const std::string& algorithm : options.algorithms) {
    const UnitMap* chunks = rides && algorithm == "md5" ? &chunks_ : nullptr;
    streams_.push_back(std::make_unique<DigestStream>(algorithm, true, chunks, *options.md5));
  }
}

DigestSink::~DigestSink() = default;

Status DigestSink::Open() {
  for (const std::unique_ptr<DigestStream>& stream : streams_) BASECOW_TRY(stream->Open());
  return Status::Ok();
}

bool DigestSink::Skips(const Row* /*row*/) const {
  return false;
}

uint64_t DigestSink::ZeroRun() const {
  return kZeroTask;
}

Status DigestSink::Check(const Batch& batch) {
  return has_chunks_ ? chunks_.Check(batch) : Status::Ok();
}

Status DigestSink::Process(Worker& worker, Task& task) {
  const Source& source = task.batch->source;
  uint8_t* buffer = nullptr;
  BASECOW_TRY(ForEachPart(
      source.rows, task.row, task.start, task.end, [&](const Row* row, uint64_t from, uint64_t to) {
        if (row == nullptr || ReadsAsZeros(row->kind)) return Status::Ok();
        if (buffer == nullptr) buffer = worker.Main();
        if (buffer == nullptr) return Status::System(ENOMEM, "malloc", {});
        uint8_t* const out = buffer + (from - task.start);
        if (ReadDirect(worker.control(), source, *row, from, to, out)) return Status::Ok();
        return worker.reader.Read(source, static_cast<size_t>(row - source.rows.data()), from, to, out, task);
      }));
  for (const std::unique_ptr<DigestStream>& stream : streams_) {
    if (!stream->turn.Wait(task.ticket)) return Status::Cancelled();
    BASECOW_TRY(ForEachPart(
        source.rows, task.row, task.start, task.end, [&](const Row* row, uint64_t from, uint64_t to) {
          const bool zeros = row == nullptr || ReadsAsZeros(row->kind);
          uint64_t done = 0;
          for (uint64_t at = from; at < to; at += done) {
            if (worker.Cancelled()) return Status::Cancelled();
            if (zeros) {
              BASECOW_TRY(stream->Zeros(*task.batch, to - at, &done));
            } else {
              done = std::min(kDataStep, to - at);
              BASECOW_TRY(stream->Data(*task.batch, buffer + (at - task.start), static_cast<size_t>(done)));
            }
          }
          return Status::Ok();
        }));
    stream->turn.Pass();
  }
  return Status::Ok();
}

Status DigestSink::Finish(JobTotals& totals) {
  for (const std::unique_ptr<DigestStream>& stream : streams_) {
    if (!stream->whole()) continue;
    Digest digest{stream->algorithm(), {}};
    BASECOW_TRY(stream->Finish(&digest.bytes));
    totals.digests.push_back(std::move(digest));
  }
  return Status::Ok();
}

void DigestSink::Stop() {
  for (const std::unique_ptr<DigestStream>& stream : streams_) stream->turn.Stop();
}

}  // namespace basecow
