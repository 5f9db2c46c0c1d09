// What came of a batch or a job, as JavaScript objects.
#pragma once

#include <napi.h>

#include "transfer/batch.h"

namespace basecow {

/// In the order of the words that ReadJobOptions takes.
enum class SinkType : uint8_t { kRaw, kPack, kDigest, kRead, kCompare };

Napi::Object MakeBatchResult(Napi::Env env, SinkType type, const BatchResult& result);
Napi::Object MakeTotals(Napi::Env env, SinkType type, const JobTotals& totals);

}  // namespace basecow
