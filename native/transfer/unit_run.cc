#include "transfer/unit_run.h"

#include <algorithm>
#include <cstring>

#include "transfer/digest_read.h"

namespace basecow {

namespace {

/// Small units loaded in one go: as many as fill the lanes.
constexpr uint64_t kBlock = kUnitLanes * kSmallUnit;
/// A window costs some calls; below this read() is as cheap.
constexpr uint64_t kLeastWindow = 64U << 10;
constexpr uint64_t kPage = 4096;
/// The block's window comes after those of the lanes.
constexpr size_t kBlockWindow = kUnitLanes;

}  // namespace

UnitRun::UnitRun(UnitShared& shared, Worker& worker)
    : shared_(shared), worker_(worker), context_{worker.read_options(), worker.control(), area_} {
  const size_t lanes = shared.is_md5 ? kUnitLanes : 1;
  for (size_t i = 0; i < lanes; i++) lanes_.emplace_back(*shared.md5, i);
}

Status UnitRun::Run(Task& task) {
  const size_t first = shared_.units.After(*task.batch, task.start);
  // Gaps between stretches are nobody's progress, and what is, is told as it is made.
  task.reported = task.end - task.start;
  if (!area_.reserved()) area_.Reserve(kUnitLanes + 1, kBlock + kPage);
  Status status = Sort(task, first);
  if (status.ok()) status = Long(task);
  // Descriptors may be closed when the batch is done; files must not be kept open by windows.
  area_.Clear();
  for (DigestLane& lane : lanes_) lane.live = false;
  return status;
}

Status UnitRun::Sort(Task& task, size_t first) {
  const Batch& batch = *task.batch;
  const std::vector<Row>& rows = batch.source.rows;
  const size_t count = shared_.units.Count(batch);
  size_t row = task.row;
  long_.clear();
  alike_.clear();
  finding_.clear();
  for (size_t i = first; i < count;) {
    const Unit unit = shared_.units.At(batch, i);
    if (unit.start >= task.end) break;
    UnitPart part{unit, std::max(unit.start, batch.start), std::min(unit.end, batch.end), 0, false};
    while (row < rows.size() && rows[row].end() <= part.from) row++;
    part.row = row;
    if (const size_t zeros = shared_.units.Zeros(batch, i, row); zeros != 0) {
      if (!Known(task, unit, zeros)) {
        // One of them finds the digest out for all that are as long.
        part.zeros = true;
        const bool first_of_length = finding_.insert(unit.length()).second;
        if (first_of_length) long_.push_back(part);
        const size_t rest = first_of_length ? zeros - 1 : zeros;
        if (rest != 0) alike_.emplace_back(shared_.units.At(batch, i + zeros - rest), rest);
      }
      i += zeros;
      continue;
    }
    i++;
    if (part.from == unit.start && part.to == unit.end && unit.length() <= kSmallUnit) {
      BASECOW_TRY(Small(task, part));
    } else {
      long_.push_back(part);
    }
  }
  return DigestBlock(task);
}

bool UnitRun::Known(Task& task, const Unit& unit, size_t count) {
  const size_t width = shared_.units.width();
  uint8_t digest[kMaxDigest];
  if (!shared_.zeros.Find(unit.length(), digest, width)) return false;
  uint8_t* place = shared_.units.Place(*task.batch, unit);
  for (size_t i = 0; i < count; i++, place += width) memcpy(place, digest, width);
  Advance(count * unit.length());
  return true;
}

Status UnitRun::Small(Task& task, const UnitPart& part) {
  if (block_bytes_ + part.unit.length() > kBlock) BASECOW_TRY(DigestBlock(task));
  block_.push_back(part);
  block_bytes_ += part.unit.length();
  return Status::Ok();
}

Status UnitRun::DigestBlock(Task& task) {
  if (block_.empty()) return Status::Ok();
  if (worker_.Cancelled()) return Status::Cancelled();
  const Batch& batch = *task.batch;
  const size_t width = shared_.units.width();
  for (bool may_map : {true, false}) {
    bool mapped = false;
    BASECOW_TRY(LoadBlock(task, may_map, &mapped));
    const uint8_t* at = block_data_;
    if (shared_.is_md5) {
      uint8_t digests[kUnitLanes][kMd5Bytes];
      for (size_t i = 0; i < block_.size(); i += std::size(digests)) {
        const size_t some = std::min(std::size(digests), block_.size() - i);
        messages_.clear();
        for (size_t n = 0; n < some; n++) {
          const auto length = static_cast<size_t>(block_[i + n].unit.length());
          messages_.push_back({at, length});
          at += length;
        }
        Md5Messages(messages_.data(), some, digests, *shared_.md5);
        for (size_t n = 0; n < some; n++) {
          memcpy(shared_.units.Place(batch, block_[i + n].unit), digests[n], kMd5Bytes);
        }
      }
    } else {
      DigestState& state = lanes_[0].state;
      for (const UnitPart& part : block_) {
        const auto length = static_cast<size_t>(part.unit.length());
        BASECOW_TRY(state.Start(shared_.algorithm));
        BASECOW_TRY(state.Update(at, length));
        uint8_t digest[kMaxDigest];
        BASECOW_TRY(state.Final(digest));
        memcpy(shared_.units.Place(batch, part.unit), digest, width);
        at += length;
      }
    }
    if (!mapped || !area_.Faulted(kBlockWindow)) break;
  }
  Advance(block_bytes_);
  block_.clear();
  block_bytes_ = 0;
  return Status::Ok();
}

Status UnitRun::Fill(Task& task, size_t row, uint64_t from, uint64_t to, uint8_t* out) {
  return FillDirect(worker_.control(), worker_.reader, task.batch->source, row, from, to, out, task,
                    &bounce_);
}

Status UnitRun::LoadBlock(Task& task, bool may_map, bool* mapped) {
  const Source& source = task.batch->source;
  const UnitPart& front = block_.front();
  const uint64_t end = front.from + block_bytes_;
  const Row* row = front.row < source.rows.size() ? &source.rows[front.row] : nullptr;
  const bool one = block_.back().to == end && row != nullptr && row->kind == Kind::kData &&
                   row->start <= front.from && row->end() >= end;
  if (memory_.data() == nullptr) memory_ = AlignedBuffer(kBlock + 2 * kDirectAlignment);
  if (memory_.data() == nullptr) return Status::System(ENOMEM, "malloc", {});
  if (one) {
    const SourceFile& file = source.files[row->file];
    const uint64_t host = row->offset + (front.from - row->start);
    const uint64_t skip = host % kPage;
    if (file.traits.direct != nullptr) {
      block_data_ = ReadDirectInto(context_.control, source, *row, front.from, end, memory_.data());
      if (block_data_ != nullptr) return Status::Ok();
    } else {
      ReadAhead(file.fd, host, std::min(row->end() - front.from, 2 * kBlock));
    }
    if (may_map && file.traits.mappable && block_bytes_ >= kLeastWindow && area_.reserved()) {
      block_data_ = MapWindow(area_, kBlockWindow, file.fd, host - skip, block_bytes_ + skip);
      if (block_data_ != nullptr) {
        block_data_ += skip;
        *mapped = true;
        context_.control.Pace(block_bytes_);
        return Status::Ok();
      }
    }
  }
  block_data_ = memory_.data();
  uint8_t* out = memory_.data();
  for (size_t i = 0; i < block_.size();) {
    // Stretches that follow one another are read in one go.
    size_t until = i + 1;
    while (until < block_.size() && block_[until].from == block_[until - 1].to) until++;
    const uint64_t from = block_[i].from;
    const uint64_t to = block_[until - 1].to;
    Status status = Fill(task, block_[i].row, from, to, out);
    if (!status.ok()) {
      if (!shared_.keep_going) return status;
      for (size_t n = i; n < until; n++) {
        const UnitPart& part = block_[n];
        Status own = Fill(task, part.row, part.from, part.to, out + (part.from - from));
        if (!own.ok()) BASECOW_TRY(Failed(task, part, std::move(own)));
      }
    }
    out += to - from;
    i = until;
  }
  return Status::Ok();
}

Status UnitRun::Long(Task& task) {
  next_ = 0;
  for (;;) {
    bool any = false;
    for (DigestLane& lane : lanes_) {
      while (!lane.live && next_ < long_.size()) BASECOW_TRY(Start(task, lane));
      any |= lane.live;
    }
    if (!any) break;
    if (worker_.Cancelled()) return Status::Cancelled();
    for (DigestLane& lane : lanes_) {
      if (lane.live) lane.Ahead(task);
    }
    feeds_.clear();
    for (DigestLane& lane : lanes_) {
      if (!lane.live) continue;
      const uint8_t* data = nullptr;
      size_t length = 0;
      Status status = lane.Next(context_, task, &data, &length);
      if (!status.ok()) {
        BASECOW_TRY(Failed(task, lane.part(), std::move(status)));
        lane.live = false;
        continue;
      }
      Advance(length);
      if (shared_.is_md5) {
        feeds_.push_back({lane.state.md5(), data, length});
      } else {
        BASECOW_TRY(lane.state.Update(data, length));
      }
    }
    if (!feeds_.empty()) Md5UpdateMany(feeds_.data(), feeds_.size());
    for (DigestLane& lane : lanes_) {
      if (!lane.live) continue;
      Status status = lane.Settle(context_, task);
      if (!status.ok()) {
        BASECOW_TRY(Failed(task, lane.part(), std::move(status)));
        lane.live = false;
      } else if (lane.done()) {
        BASECOW_TRY(End(task, lane));
      }
    }
  }
  return Alike(task);
}

Status UnitRun::Start(Task& /*task*/, DigestLane& lane) {
  const UnitPart& part = long_[next_++];
  lane.Begin(part);
  if (part.from == part.unit.start) return lane.state.Start(shared_.algorithm);
  bool failed = false;
  Status status;
  if (!shared_.carry.Take(part.from, &lane.state, &failed, &status)) return Status::Cancelled();
  BASECOW_TRY(status);
  if (!failed) return Status::Ok();
  lane.live = false;
  if (part.to != part.unit.end) {
    shared_.carry.Put(part.to, lane.state, true, shared_.algorithm, &status);
  }
  return status;
}

Status UnitRun::End(Task& task, DigestLane& lane) {
  const UnitPart& part = lane.part();
  lane.live = false;
  Status status;
  if (part.to != part.unit.end) {
    shared_.carry.Put(part.to, lane.state, false, shared_.algorithm, &status);
    return status;
  }
  uint8_t* const place = shared_.units.Place(*task.batch, part.unit);
  BASECOW_TRY(lane.state.Final(place));
  if (part.zeros) shared_.zeros.Put(part.unit.length(), place, shared_.units.width());
  return Status::Ok();
}

Status UnitRun::Failed(Task& task, const UnitPart& part, Status status) {
  if (!shared_.keep_going || status.err == ECANCELED || status.err == ENOMEM) return status;
  {
    const std::lock_guard lock(shared_.failures);
    task.batch->result.failures.push_back({part.unit.index, std::move(status)});
  }
  Status put;
  if (part.to != part.unit.end) {
    shared_.carry.Put(part.to, lanes_[0].state, true, shared_.algorithm, &put);
  }
  return put;
}

Status UnitRun::Alike(Task& task) {
  for (const auto& [unit, count] : alike_) Known(task, unit, count);
  alike_.clear();
  return Status::Ok();
}

}  // namespace basecow
