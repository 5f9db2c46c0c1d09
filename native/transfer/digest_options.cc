#include "transfer/digest_options.h"

#include "transfer/digest_sink.h"
#include "transfer/digest_state.h"
#include "transfer/messages.h"
#include "transfer/unit_sink.h"

namespace basecow {

Status MakeDigestSink(const DigestOptions& options, std::unique_ptr<Sink>* made) {
  DigestOptions settled = options;
  if (settled.md5 == nullptr) settled.md5 = &PickMd5Kernels();
  const bool units = settled.ranges || settled.chunk_size != 0;
  if (!units && settled.algorithms.empty()) return InvalidPlan("at least one digest algorithm is needed");
  if (settled.ranges && (settled.chunk_size != 0 || !settled.algorithms.empty())) {
    return InvalidPlan("stretches are digested without the whole and without chunks");
  }
  std::vector<std::string> used = settled.algorithms;
  if (units) used.push_back(settled.unit_algorithm);
  for (const std::string& algorithm : used) {
    if (DigestSize(algorithm) == 0) return InvalidPlan("unknown digest algorithm '" + algorithm + "'");
    DigestState probe(*settled.md5);
    BASECOW_TRY(probe.Start(algorithm));
  }
  if (settled.algorithms.empty()) {
    *made = std::make_unique<UnitSink>(settled);
    return Status::Ok();
  }
  auto sink = std::make_unique<DigestSink>(settled);
  BASECOW_TRY(sink->Open());
  *made = std::move(sink);
  return Status::Ok();
}

}  // namespace basecow
