// Options and batches of a job, read out of JavaScript.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "binding/arguments.h"
#include "binding/cipher_argument.h"
#include "binding/job_result.h"
#include "transfer/job.h"

namespace basecow {

struct JobArguments {
  SinkType type = SinkType::kRaw;
  JobOptions options;
  Control control;
  std::unique_ptr<Sink> sink;
  /// digest: read past the page cache.
  bool direct = false;
  /// Those of the sink.
  CipherSet ciphers;
  /// Objects whose memory the job uses.
  std::vector<Napi::Object> keep;
};

/// A TypeError or RangeError is pending when `arguments` is not ok afterwards; a Status speaks of values that
/// do not go together.
Status ReadJobOptions(Napi::Env env, Arguments& arguments, Napi::Object options, JobArguments* job);

/// Copies the rows of [start, end) out of the columns. Values that are no offsets become ones that
/// ValidateSource refuses. The object's `digests` must be kept until the batch is settled.
void ReadBatch(Arguments& arguments, Napi::Object object, SinkType type, bool direct, CipherSet& ciphers,
               Batch* batch);

}  // namespace basecow
