// One thread's part in digesting units: those of a task, side by side.
#pragma once

#include <deque>
#include <unordered_set>
#include <utility>
#include <vector>

#include "hash/md5_many.h"
#include "transfer/digest_lane.h"
#include "transfer/unit_sink.h"
#include "transfer/worker.h"

namespace basecow {

/// Units digested side by side on a thread. More do not help: the streams get into each other's way in the
/// cache.
inline constexpr size_t kUnitLanes = 16;
/// Units up to this long are gathered in memory and digested as a whole, bytes.
inline constexpr uint64_t kSmallUnit = 256U << 10;

class UnitRun : public WorkerScratch {
 public:
  UnitRun(UnitShared& shared, Worker& worker);
  Status Run(Task& task);

 private:
  Status Sort(Task& task, size_t first);
  /// `count` units of zeros from `unit` on get the digest of as many zeros, if that is known.
  bool Known(Task& task, const Unit& unit, size_t count);
  Status Small(Task& task, const UnitPart& part);
  Status Fill(Task& task, size_t row, uint64_t from, uint64_t to, uint8_t* out);
  Status DigestBlock(Task& task);
  /// Bytes of the block, through a window (`*mapped`) or read.
  Status LoadBlock(Task& task, bool may_map, bool* mapped);
  Status Long(Task& task);
  Status Start(Task& task, DigestLane& lane);
  Status End(Task& task, DigestLane& lane);
  /// Notes it when the job goes on in spite of it, else it is the job's.
  Status Failed(Task& task, const UnitPart& part, Status status);
  Status Alike(Task& task);
  void Advance(uint64_t bytes) { worker_.control().Advance(bytes); }

  UnitShared& shared_;
  Worker& worker_;
  FaultArea area_;
  LaneContext context_;
  std::deque<DigestLane> lanes_;
  /// Digested in lanes; next_ of them have begun.
  std::vector<UnitPart> long_;
  size_t next_ = 0;
  /// Runs of zeros of a length that one of long_ has too: the first, and how many.
  std::vector<std::pair<Unit, size_t>> alike_;
  /// Those lengths.
  std::unordered_set<uint64_t> finding_;
  std::vector<UnitPart> block_;
  uint64_t block_bytes_ = 0;
  AlignedBuffer memory_;
  AlignedBuffer bounce_;
  const uint8_t* block_data_ = nullptr;
  std::vector<Md5Feed> feeds_;
  std::vector<Md5Message> messages_;
};

}  // namespace basecow
