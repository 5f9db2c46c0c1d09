#include "binding/job_arguments.h"

#include <sys/stat.h>

#include "binding/engine.h"
#include "codec/zstd.h"
#include "transfer/compare_sink.h"
#include "transfer/digest_options.h"
#include "transfer/messages.h"
#include "transfer/pack_sink.h"
#include "transfer/raw_sink.h"
#include "transfer/read_sink.h"

namespace basecow {

namespace {

bool OptionalFlag(Arguments& arguments, Napi::Object object, const char* name) {
  const Napi::Value value = object.Get(name);
  return !value.IsUndefined() && arguments.FlagOf(value, name);
}

Status ReadRaw(Arguments& arguments, Napi::Object sink, CipherSet& ciphers, std::unique_ptr<Sink>* made) {
  RawOptions raw;
  raw.fd = arguments.FdOf(sink.Get("fd"), "sink.fd");
  raw.path = arguments.TextOf(sink.Get("path"), "sink.path");
  raw.shift = arguments.OffsetOf(sink.Get("shift"), "sink.shift");
  raw.detect_zeros = arguments.OffsetOf(sink.Get("detectZeros"), "sink.detectZeros");
  static constexpr ZeroPolicy kPolicies[] = {ZeroPolicy::kSkip, ZeroPolicy::kPunch, ZeroPolicy::kWrite};
  raw.zeros = kPolicies[arguments.ChoiceOf(sink.Get("zeros"), "sink.zeros", {"skip", "punch", "write"})];
  raw.offload = arguments.FlagOf(sink.Get("offload"), "sink.offload");
  raw.drop_cache = OptionalFlag(arguments, sink, "dropCache");
  raw.cipher = ciphers.Of(arguments, sink.Get("cipher"), "sink.cipher");
  if (!arguments.ok()) return Status::Ok();
  BASECOW_TRY(ValidateRaw(raw));
  *made = std::make_unique<RawSink>(std::move(raw));
  return Status::Ok();
}

Status ReadPack(Arguments& arguments, Napi::Object sink, uint64_t segment, CipherSet& ciphers,
                std::unique_ptr<Sink>* made) {
  PackOptions pack;
  pack.fd = arguments.FdOf(sink.Get("fd"), "sink.fd");
  pack.path = arguments.TextOf(sink.Get("path"), "sink.path");
  pack.cluster_size = arguments.OffsetOf(sink.Get("clusterSize"), "sink.clusterSize");
  pack.guest_size = arguments.OffsetOf(sink.Get("guestSize"), "sink.guestSize");
  pack.geometry.cluster_size = pack.cluster_size;
  pack.geometry.first_free = arguments.OffsetOf(sink.Get("firstFree"), "sink.firstFree");
  pack.geometry.reserve_every = arguments.OffsetOf(sink.Get("reserveEvery"), "sink.reserveEvery");
  pack.geometry.group_bytes = arguments.OffsetOf(sink.Get("groupBytes"), "sink.groupBytes");
  pack.geometry.table_bytes = arguments.OffsetOf(sink.Get("groupTableBytes"), "sink.groupTableBytes");
  const Napi::Value refcount_max = sink.Get("refcountMax");
  if (!refcount_max.IsUndefined()) {
    pack.geometry.most_runs = arguments.OffsetOf(refcount_max, "sink.refcountMax");
  }
  pack.detect_zeros = arguments.FlagOf(sink.Get("detectZeros"), "sink.detectZeros");
  pack.report_zeros = arguments.FlagOf(sink.Get("reportZeros"), "sink.reportZeros");
  pack.drop_cache = OptionalFlag(arguments, sink, "dropCache");
  pack.cipher = ciphers.Of(arguments, sink.Get("cipher"), "sink.cipher");
  const Napi::Value compression = sink.Get("compression");
  if (arguments.ok() && !compression.IsNull()) {
    const Napi::Object settings = arguments.ObjectOf(compression, "sink.compression");
    static constexpr PackCodec kCodecs[] = {PackCodec::kDeflate, PackCodec::kZstd};
    pack.codec =
        kCodecs[arguments.ChoiceOf(settings.Get("codec"), "sink.compression.codec", {"deflate", "zstd"})];
    const uint32_t highest = pack.codec == PackCodec::kDeflate ? 9 : 19;
    pack.level =
        static_cast<int>(arguments.CountOf(settings.Get("level"), "sink.compression.level", 0, highest));
  }
  if (!arguments.ok()) return Status::Ok();
  BASECOW_TRY(ValidatePack(pack, segment));
  if (pack.codec == PackCodec::kZstd) {
    ZstdEncoder probe;
    BASECOW_TRY(probe.Open(pack.level));
  }
  *made = std::make_unique<PackSink>(std::move(pack));
  return Status::Ok();
}

Status ReadDigest(Napi::Env env, Arguments& arguments, Napi::Object sink, uint32_t threads,
                  std::unique_ptr<Sink>* made) {
  DigestOptions digest;
  digest.md5 = &Engine::Of(env).md5();
  digest.threads = threads;
  digest.ranges = OptionalFlag(arguments, sink, "ranges");
  digest.keep_going = OptionalFlag(arguments, sink, "keepGoing");
  const Napi::Value chunk_size = sink.Get("chunkSize");
  if (!chunk_size.IsUndefined()) digest.chunk_size = arguments.OffsetOf(chunk_size, "sink.chunkSize");
  if (digest.chunk_size != 0) digest.size = arguments.OffsetOf(sink.Get("size"), "sink.size");
  if (digest.chunk_size != 0 || digest.ranges) {
    digest.unit_algorithm = arguments.TextOf(sink.Get("unitAlgorithm"), "sink.unitAlgorithm");
  }
  const Napi::Array algorithms = arguments.ArrayOf(sink.Get("algorithms"), "sink.algorithms");
  for (uint32_t i = 0; arguments.ok() && i < algorithms.Length(); i++) {
    digest.algorithms.push_back(arguments.TextOf(algorithms.Get(i), "sink.algorithms"));
  }
  if (!arguments.ok()) return Status::Ok();
  return MakeDigestSink(digest, made);
}

/// NaN, negative, fractional and huge values become one that no check lets through.
uint64_t OffsetOrRefused(double value) {
  if (!(value >= 0 && value <= static_cast<double>(kMaxOffset))) return UINT64_MAX;
  const auto whole = static_cast<uint64_t>(value);
  return static_cast<double>(whole) == value ? whole : UINT64_MAX;
}

struct Columns {
  const uint8_t* kind;
  const uint16_t* file;
  const double* start;
  const double* length;
  const double* offset;
  const uint32_t* compressed_length;
  const uint32_t* skip;
  const uint32_t* unit;
};

void ReadSource(Arguments& arguments, Napi::Object object, uint64_t start, uint64_t end, CipherSet& ciphers,
                Source* source) {
  const Napi::Object columns = arguments.ObjectOf(object.Get("columns"), "columns");
  const uint32_t count = arguments.CountOf(columns.Get("count"), "columns.count", 0, UINT32_MAX);
  const auto column = [&](const char* name, napi_typedarray_type type) {
    return arguments.MemoryOf(columns.Get(name), type, count, name).data;
  };
  const Columns from = {
      static_cast<const uint8_t*>(column("kind", napi_uint8_array)),
      static_cast<const uint16_t*>(column("file", napi_uint16_array)),
      static_cast<const double*>(column("start", napi_float64_array)),
      static_cast<const double*>(column("length", napi_float64_array)),
      static_cast<const double*>(column("offset", napi_float64_array)),
      static_cast<const uint32_t*>(column("compressedLength", napi_uint32_array)),
      static_cast<const uint32_t*>(column("skip", napi_uint32_array)),
      static_cast<const uint32_t*>(column("unit", napi_uint32_array)),
  };
  const TypedMemory fds = arguments.MemoryOf(object.Get("fds"), napi_int32_array, 0, "fds");
  const Napi::Array paths = arguments.ArrayOf(object.Get("paths"), "paths");
  if (!arguments.ok()) return;
  const Napi::Value listed = object.Get("ciphers");
  const bool encrypted = !listed.IsUndefined();
  const Napi::Array list = encrypted ? arguments.ArrayOf(listed, "ciphers") : Napi::Array();
  for (uint32_t i = 0; i < fds.length && arguments.ok(); i++) {
    SourceFile file{static_cast<const int32_t*>(fds.data)[i], arguments.TextOf(paths.Get(i), "paths")};
    if (encrypted) file.cipher = ciphers.Of(arguments, list.Get(i), "ciphers");
    source->files.push_back(std::move(file));
  }
  if (!arguments.ok()) return;
  // Rows that do not touch the batch are left out: the same columns may serve several batches.
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t row_start = OffsetOrRefused(from.start[i]);
    const uint64_t row_length = OffsetOrRefused(from.length[i]);
    const bool refused = row_start == UINT64_MAX || row_length == UINT64_MAX;
    if (!refused && (row_length == 0 || row_start >= end || row_start + row_length <= start)) continue;
    const auto kind = static_cast<Kind>(from.kind[i]);
    const uint64_t offset = ReadsAsZeros(kind) ? 0 : OffsetOrRefused(from.offset[i]);
    source->rows.push_back({row_start, row_length, offset, from.compressed_length[i], from.skip[i],
                            from.unit[i], from.file[i], kind});
  }
}

void ReadPlacement(Arguments& arguments, Napi::Object object, uint64_t start, uint64_t end,
                   std::vector<Placed>* placement) {
  const uint32_t count = arguments.CountOf(object.Get("count"), "placement.count", 0, UINT32_MAX);
  const auto column = [&](const char* name) {
    return static_cast<const double*>(
        arguments.MemoryOf(object.Get(name), napi_float64_array, count, name).data);
  };
  const double* const starts = column("start");
  const double* const lengths = column("length");
  const double* const offsets = column("offset");
  if (!arguments.ok()) return;
  for (uint32_t i = 0; i < count; i++) {
    const Placed placed = {OffsetOrRefused(starts[i]), OffsetOrRefused(lengths[i]),
                           OffsetOrRefused(offsets[i])};
    const bool refused = placed.start == UINT64_MAX || placed.length == UINT64_MAX;
    if (!refused && (placed.length == 0 || placed.start >= end || placed.end() <= start)) continue;
    placement->push_back(placed);
  }
}

void Identify(Source* source) {
  for (SourceFile& file : source->files) {
    struct stat info {};
    if (fstat(file.fd, &info) != 0) continue;
    file.device = info.st_dev;
    file.inode = info.st_ino;
  }
}

}  // namespace

Status ReadJobOptions(Napi::Env env, Arguments& arguments, Napi::Object options, JobArguments* job) {
  job->options.threads = arguments.CountOf(options.Get("threads"), "threads", 1, kMaxJobThreads);
  job->options.segment =
      arguments.CountOf(options.Get("segment"), "segment", static_cast<uint32_t>(kMinSegment),
                        static_cast<uint32_t>(kMaxSegment));
  job->options.read.drop_cache = OptionalFlag(arguments, options, "dropSourceCache");
  job->options.read.salvage = OptionalFlag(arguments, options, "salvage");
  job->options.read.short_reads_zero =
      arguments.ChoiceOf(options.Get("shortRead"), "shortRead", {"error", "zeros"}) == 1;
  Napi::Object memory;
  job->control = arguments.ControlOf(options.Get("control"), "control", &memory);
  const Napi::Object sink = arguments.ObjectOf(options.Get("sink"), "sink");
  const int type =
      arguments.ChoiceOf(sink.Get("type"), "sink.type", {"raw", "pack", "digest", "read", "compare"});
  if (!arguments.ok()) return Status::Ok();
  if (job->options.segment % 4096 != 0) return InvalidPlan("segment must be a multiple of 4096");
  job->keep.push_back(memory);
  job->type = static_cast<SinkType>(type);
  switch (type) {
    case 0:
      return ReadRaw(arguments, sink, job->ciphers, &job->sink);
    case 1:
      return ReadPack(arguments, sink, job->options.segment, job->ciphers, &job->sink);
    case 2:
      job->direct = OptionalFlag(arguments, options, "direct");
      return ReadDigest(env, arguments, sink, job->options.threads, &job->sink);
    case 3: {
      const Bytes bytes = arguments.BytesOf(sink.Get("buffer"), "sink.buffer");
      const uint64_t start = arguments.OffsetOf(sink.Get("start"), "sink.start");
      if (!arguments.ok()) return Status::Ok();
      job->keep.push_back(bytes.owner);
      job->sink = std::make_unique<ReadSink>(bytes.data, bytes.length, start);
      return Status::Ok();
    }
    default:
      job->sink = std::make_unique<CompareSink>();
      return Status::Ok();
  }
}

void ReadUnits(Arguments& arguments, Napi::Object object, bool direct, Batch* batch) {
  const Napi::Value digests = object.Get("digests");
  if (!digests.IsUndefined()) {
    const Bytes bytes = arguments.BytesOf(digests, "digests");
    batch->digests = bytes.data;
    batch->digests_length = bytes.length;
  }
  const Napi::Value ranges = object.Get("ranges");
  if (arguments.ok() && !ranges.IsUndefined()) {
    const TypedMemory pairs = arguments.MemoryOf(ranges, napi_float64_array, 0, "ranges");
    if (!arguments.ok()) return;
    const auto* numbers = static_cast<const double*>(pairs.data);
    for (size_t i = 0; i + 1 < pairs.length; i += 2) {
      batch->units.push_back({OffsetOrRefused(numbers[i]), OffsetOrRefused(numbers[i + 1])});
    }
  }
  for (SourceFile& file : batch->source.files) {
    // What is decrypted must come into memory.
    if (file.cipher == nullptr) file.traits = TraitsOf(file.fd, direct);
  }
}

void ReadBatch(Arguments& arguments, Napi::Object object, SinkType type, bool direct, CipherSet& ciphers,
               Batch* batch) {
  batch->start = arguments.OffsetOf(object.Get("start"), "start");
  batch->end = arguments.OffsetOf(object.Get("end"), "end");
  ReadSource(arguments, object, batch->start, batch->end, ciphers, &batch->source);
  const Napi::Value placement = object.Get("placement");
  if (arguments.ok() && !placement.IsUndefined()) {
    batch->has_placement = true;
    ReadPlacement(arguments, arguments.ObjectOf(placement, "placement"), batch->start, batch->end,
                  &batch->placement);
  }
  if (arguments.ok() && type == SinkType::kDigest) ReadUnits(arguments, object, direct, batch);
  const Napi::Value other = object.Get("other");
  if (arguments.ok() && !other.IsUndefined()) {
    batch->has_other = true;
    ReadSource(arguments, arguments.ObjectOf(other, "other"), batch->start, batch->end, ciphers,
               &batch->other);
    Identify(&batch->source);
    Identify(&batch->other);
  }
}

}  // namespace basecow
