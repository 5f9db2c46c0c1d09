#include "transfer/pack_layout.h"

namespace basecow {

uint64_t PackLayout::Clusters(uint64_t bytes) {
  uint64_t at = next_;
  if (geometry_.reserve_every != 0) {
    for (;;) {
      uint64_t reserved =
          (at + geometry_.reserve_every - 1) / geometry_.reserve_every * geometry_.reserve_every;
      if (reserved == 0) reserved = geometry_.reserve_every;
      if (reserved >= at + bytes) break;
      at = reserved + geometry_.cluster_size;
    }
  }
  next_ = at + bytes;
  return at;
}

uint64_t PackLayout::Bytes(uint32_t size) {
  const uint64_t cluster = geometry_.cluster_size;
  if (tail_ != 0 && geometry_.most_runs != 0 && tail_runs_ >= geometry_.most_runs) tail_ = 0;
  uint64_t place = tail_;
  uint64_t room = place == 0 ? 0 : cluster - place % cluster;
  if (room < size) {
    const uint64_t fresh = Clusters(cluster);
    if (place == 0 || (place + cluster - 1) / cluster * cluster != fresh) place = fresh;
    tail_runs_ = 0;
  }
  tail_ = place + size;
  tail_runs_++;
  if (tail_ % cluster == 0) tail_ = 0;
  return place;
}

bool PackLayout::PassTo(uint64_t guest, uint64_t* group, uint64_t* table) {
  if (open_group_ == 0 || guest < open_group_ * geometry_.group_bytes) return false;
  return End(group, table);
}

bool PackLayout::End(uint64_t* group, uint64_t* table) {
  if (open_group_ == 0) return false;
  *group = (open_group_ - 1) * geometry_.group_bytes;
  *table = Clusters(geometry_.table_bytes);
  open_group_ = 0;
  return true;
}

}  // namespace basecow
