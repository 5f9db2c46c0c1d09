#include "binding/job_result.h"

#include <algorithm>

namespace basecow {

namespace {

Napi::Float64Array Numbers(Napi::Env env, const std::vector<uint64_t>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  std::transform(values.begin(), values.end(), array.Data(),
                 [](uint64_t value) { return static_cast<double>(value); });
  return array;
}

Napi::Uint8Array Octets(Napi::Env env, const std::vector<uint8_t>& values) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

void AddPack(Napi::Env env, Napi::Object object, const BatchResult& result) {
  Napi::Object packed = Napi::Object::New(env);
  packed.Set("count", static_cast<double>(result.packed_guest.size()));
  packed.Set("guest", Numbers(env, result.packed_guest));
  packed.Set("host", Numbers(env, result.packed_host));
  Napi::Uint32Array sizes = Napi::Uint32Array::New(env, result.packed_size.size());
  std::copy(result.packed_size.begin(), result.packed_size.end(), sizes.Data());
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
  if (type == SinkType::kDigest) object.Set("chunks", Octets(env, result.chunks));
  if (type == SinkType::kCompare) object.Set("mismatch", static_cast<double>(result.mismatch));
  if (!result.unreadable.empty()) {
    Napi::Float64Array pairs = Napi::Float64Array::New(env, 2 * result.unreadable.size());
    for (size_t i = 0; i < result.unreadable.size(); i++) {
      pairs[2 * i] = static_cast<double>(result.unreadable[i].start);
      pairs[2 * i + 1] = static_cast<double>(result.unreadable[i].length);
    }
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
