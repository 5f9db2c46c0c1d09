#include "binding/job_result.h"

#include <algorithm>

#include "binding/errors.h"
#include "binding/typed_array.h"

namespace basecow {

namespace {

Napi::Float64Array Numbers(Napi::Env env, const std::vector<uint64_t>& values) {
  return MakeTypedArray<Napi::Float64Array>(env, values.size(), [&](double* data) {
    std::transform(values.begin(), values.end(), data,
                   [](uint64_t value) { return static_cast<double>(value); });
  });
}

Napi::Uint8Array Octets(Napi::Env env, const std::vector<uint8_t>& values) {
  return MakeTypedArray<Napi::Uint8Array>(
      env, values.size(), [&](uint8_t* data) { std::copy(values.begin(), values.end(), data); });
}

void AddPack(Napi::Env env, Napi::Object object, const BatchResult& result) {
  Napi::Object packed = Napi::Object::New(env);
  packed.Set("count", static_cast<double>(result.packed_guest.size()));
  packed.Set("guest", Numbers(env, result.packed_guest));
  packed.Set("host", Numbers(env, result.packed_host));
  const auto sizes = MakeTypedArray<Napi::Uint32Array>(env, result.packed_size.size(), [&](uint32_t* data) {
    std::copy(result.packed_size.begin(), result.packed_size.end(), data);
  });
  packed.Set("size", sizes);
  object.Set("packed", packed);
  object.Set("zeroed", Numbers(env, result.zeroed));
  Napi::Object groups = Napi::Object::New(env);
  groups.Set("count", static_cast<double>(result.group_guest.size()));
  groups.Set("guest", Numbers(env, result.group_guest));
  groups.Set("host", Numbers(env, result.group_host));
  object.Set("groups", groups);
  object.Set("firstFree", static_cast<double>(result.first_free));
}

}  // namespace

Napi::Object MakeBatchResult(Napi::Env env, SinkType type, const BatchResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("written", static_cast<double>(result.written));
  if (type == SinkType::kPack) AddPack(env, object, result);
  if (type == SinkType::kDigest && !result.failures.empty()) {
    Napi::Array failures = Napi::Array::New(env);
    for (const UnitFailure& failure : result.failures) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("index", static_cast<double>(failure.index));
      entry.Set("error", MakeError(env, failure.status));
      failures.Set(failures.Length(), entry);
    }
    object.Set("failures", failures);
  }
  if (type == SinkType::kCompare) object.Set("mismatch", static_cast<double>(result.mismatch));
  if (!result.unreadable.empty()) {
    const auto pairs =
        MakeTypedArray<Napi::Float64Array>(env, 2 * result.unreadable.size(), [&](double* data) {
          for (const auto& place : result.unreadable) {
            *data++ = static_cast<double>(place.start);
            *data++ = static_cast<double>(place.length);
          }
        });
    object.Set("unreadable", pairs);
    object.Set("unreadableReason", result.unreadable_reason);
  }
  return object;
}

Napi::Object MakeTotals(Napi::Env env, SinkType type, const JobTotals& totals) {
  Napi::Object object = MakeBatchResult(env, type, totals);
  if (type == SinkType::kDigest) {
    Napi::Object digests = Napi::Object::New(env);
    for (const Digest& digest : totals.digests) digests.Set(digest.algorithm, Octets(env, digest.bytes));
    object.Set("digests", digests);
  }
  return object;
}

}  // namespace basecow
