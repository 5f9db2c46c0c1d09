#include "transfer/pack_sink.h"

#include <bit>
#include <cstring>

#include "hash/zero_scan.h"
#include "transfer/messages.h"
#include "transfer/worker.h"
#include "transfer/write_vector.h"

namespace basecow {

Status ValidatePack(const PackOptions& options, uint64_t segment) {
  const uint64_t cluster = options.cluster_size;
  const PackGeometry& geometry = options.geometry;
  if (cluster < 512 || cluster > kMaxUnit || !std::has_single_bit(cluster)) {
    return InvalidPlan("clusterSize must be a power of two from 512 to 2 MiB");
  }
  if (segment % cluster != 0) return InvalidPlan("segment must be a multiple of clusterSize");
  if (geometry.first_free % cluster != 0 || geometry.first_free == 0) {
    return InvalidPlan("firstFree must be a positive multiple of clusterSize");
  }
  if (geometry.group_bytes % cluster != 0) return InvalidPlan("groupBytes must be a multiple of clusterSize");
  if (geometry.group_bytes != 0 && (geometry.table_bytes == 0 || geometry.table_bytes % cluster != 0)) {
    return InvalidPlan("groupTableBytes must be a positive multiple of clusterSize");
  }
  if (geometry.reserve_every != 0 &&
      (geometry.reserve_every % cluster != 0 ||
       geometry.reserve_every < cluster + std::max(cluster, geometry.table_bytes))) {
    return InvalidPlan("reserveEvery must be a multiple of clusterSize that leaves room for a group's table");
  }
  if (options.cipher != nullptr && options.codec != PackCodec::kNone) {
    return InvalidPlan("compressed clusters are never encrypted");
  }
  if (options.cipher != nullptr && options.cipher->origin != 0) {
    return InvalidPlan("the sectors of a packed image are numbered from 0");
  }
  return Status::Ok();
}

bool PackSink::Skips(const Row* row) const {
  if (row == nullptr || row->kind == Kind::kUnallocated) return true;
  return row->kind == Kind::kZero && options_.detect_zeros && !options_.report_zeros;
}

Status PackSink::Check(const Batch& batch) {
  if (batch.end > options_.guest_size) return InvalidPlan("batch ends beyond guestSize");
  return Status::Ok();
}

Status PackSink::Process(Worker& worker, Task& task) {
  if (!task.last) BASECOW_TRY(Gather(worker, task));
  if (!turn_.Wait(task.ticket)) return Status::Cancelled();
  BatchResult& result = task.batch->result;
  if (!task.last) BASECOW_TRY(Place(worker, result));
  Pass(task.end, result);
  result.first_free = layout_.first_free();
  turn_.Pass();
  return task.last ? Status::Ok() : Write(worker, task);
}

Status PackSink::Leave(Worker& worker) {
  worker.drop.Flush();
  return Status::Ok();
}

Status PackSink::Finish(JobTotals& totals) {
  uint64_t group = 0;
  uint64_t table = 0;
  if (layout_.End(&group, &table)) {
    totals.group_guest.push_back(group);
    totals.group_host.push_back(table);
  }
  totals.first_free = layout_.first_free();
  return Status::Ok();
}

Status PackSink::Gather(Worker& worker, Task& task) {
  PackScratch& scratch = worker.pack;
  scratch.clusters.clear();
  uint8_t* const buffer = worker.Main();
  uint8_t* compressed = options_.codec == PackCodec::kNone ? nullptr : worker.Second();
  if (buffer == nullptr || (compressed == nullptr && options_.codec != PackCodec::kNone)) {
    return Status::System(ENOMEM, "malloc", options_.path);
  }
  if (!scratch.opened) {
    if (options_.codec == PackCodec::kDeflate) BASECOW_TRY(scratch.deflater.Open(options_.level));
    if (options_.codec == PackCodec::kZstd) BASECOW_TRY(scratch.zstd.Open(options_.level));
    scratch.opened = true;
  }

  const std::vector<Row>& rows = task.batch->source.rows;
  size_t row = task.row;
  for (uint64_t guest = task.start; guest < task.end; guest += options_.cluster_size) {
    if (worker.Cancelled()) return Status::Cancelled();
    const uint64_t end = std::min(guest + options_.cluster_size, task.end);
    while (row < rows.size() && rows[row].end() <= guest) row++;
    bool data = false;
    bool zeros = false;
    for (size_t i = row; i < rows.size() && rows[i].start < end; i++) {
      if (rows[i].length == 0) continue;
      data = data || !ReadsAsZeros(rows[i].kind);
      zeros = zeros || rows[i].kind == Kind::kZero;
    }
    if (!data && !zeros) continue;
    if (!data && options_.detect_zeros) {
      scratch.clusters.push_back({guest, nullptr, 0, 0});
      continue;
    }
    // Whole runs of data are read in one go, not cluster by cluster.
    uint8_t* const place = buffer + (guest - task.start);
    uint64_t until = end;
    if (data && row < rows.size() && rows[row].start <= guest && rows[row].kind == Kind::kData) {
      until =
          std::max(end, std::min(rows[row].end(), task.end) / options_.cluster_size * options_.cluster_size);
    }
    BASECOW_TRY(worker.reader.Fill(task.batch->source, row, guest, until, place, task));
    for (;;) {
      const uint64_t stop = std::min(guest + options_.cluster_size, task.end);
      uint8_t* const cluster = buffer + (guest - task.start);
      const uint64_t missing = options_.cluster_size - (stop - guest);
      if (missing != 0) memset(cluster + (stop - guest), 0, missing);
      BASECOW_TRY(Prepare(worker, guest, cluster, &compressed));
      if (guest + options_.cluster_size >= until) break;
      guest += options_.cluster_size;
      if (worker.Cancelled()) return Status::Cancelled();
    }
  }
  return Status::Ok();
}

Status PackSink::Prepare(Worker& worker, uint64_t guest, uint8_t* data, uint8_t** compressed) {
  PackScratch& scratch = worker.pack;
  const auto size = static_cast<size_t>(options_.cluster_size);
  if (options_.detect_zeros && IsZero(data, size)) {
    scratch.clusters.push_back({guest, nullptr, 0, 0});
    return Status::Ok();
  }
  size_t packed = 0;
  // A result that is not smaller than a cluster is stored plain.
  if (options_.codec == PackCodec::kDeflate) {
    packed = scratch.deflater.Deflate(data, size, *compressed, size - 1);
  } else if (options_.codec == PackCodec::kZstd) {
    packed = scratch.zstd.Encode(data, size, *compressed, size - 1);
  }
  scratch.clusters.push_back({guest, packed == 0 ? data : *compressed, static_cast<uint32_t>(packed), 0});
  *compressed += packed;
  return Status::Ok();
}

void PackSink::Pass(uint64_t guest, BatchResult& result) {
  uint64_t group = 0;
  uint64_t table = 0;
  if (!layout_.PassTo(guest, &group, &table)) return;
  result.group_guest.push_back(group);
  result.group_host.push_back(table);
}

Status PackSink::Place(Worker& worker, BatchResult& result) {
  // The offset field of a compressed L2 entry narrows as clusters grow.
  const uint64_t limit = uint64_t{1} << (70 - std::countr_zero(options_.cluster_size));
  for (PackCluster& cluster : worker.pack.clusters) {
    Pass(cluster.guest, result);
    if (cluster.data == nullptr) {
      if (options_.report_zeros) {
        result.zeroed.push_back(cluster.guest);
        layout_.Touch(cluster.guest);
      }
      continue;
    }
    layout_.Touch(cluster.guest);
    cluster.host = cluster.size == 0 ? layout_.Cluster() : layout_.Bytes(cluster.size);
    if (cluster.size != 0 && cluster.host + cluster.size > limit) {
      return WriteFailed(Status::System(EFBIG, "pwritev", options_.path), options_.path, cluster.guest,
                         cluster.host);
    }
    result.packed_guest.push_back(cluster.guest);
    result.packed_host.push_back(cluster.host);
    result.packed_size.push_back(cluster.size);
  }
  return Status::Ok();
}

Status PackSink::Write(Worker& worker, Task& task) {
  VectorWriter writer(options_.fd, options_.path, storage_);
  uint64_t lowest = UINT64_MAX;
  uint64_t highest = 0;
  SectorCipher* const cipher = options_.cipher == nullptr ? nullptr : &worker.ciphers.Of(options_.cipher);
  for (const PackCluster& cluster : worker.pack.clusters) {
    if (cluster.data == nullptr) continue;
    const uint64_t length = cluster.size == 0 ? options_.cluster_size : cluster.size;
    if (cipher != nullptr) {
      const auto position = static_cast<uint64_t>(options_.cipher->Position(cluster.guest, cluster.host));
      BASECOW_TRY(cipher->Encrypt(cluster.data, cluster.data, length, position / kCipherSector));
    }
    BASECOW_TRY(writer.Add(cluster.data, length, cluster.host, cluster.guest));
    task.written += length;
    lowest = std::min(lowest, cluster.host);
    highest = std::max(highest, cluster.host + length);
  }
  BASECOW_TRY(writer.Flush());
  if (options_.drop_cache && highest > lowest) worker.drop.Wrote(options_.fd, lowest, highest - lowest);
  return Status::Ok();
}

}  // namespace basecow
