// Where packed clusters go in a host file that is built front to back: the order of requests decides, nothing
// else.
#pragma once

#include <cstdint>

namespace basecow {

struct PackGeometry {
  /// Bytes, power of two.
  uint64_t cluster_size = 0;
  /// Host offset of the first free cluster.
  uint64_t first_free = 0;
  /// The cluster at every multiple of this (except 0) is the caller's; 0 = none.
  uint64_t reserve_every = 0;
  /// Guest bytes of a group, 0 = no groups; bytes of the table that follows a group.
  uint64_t group_bytes = 0;
  uint64_t table_bytes = 0;
  /// Compressed runs that may touch one host cluster; 0 = any number.
  uint64_t most_runs = 0;
};

class PackLayout {
 public:
  explicit PackLayout(const PackGeometry& geometry) : geometry_(geometry), next_(geometry.first_free) {}

  /// Host offset of a whole cluster.
  uint64_t Cluster() { return Clusters(geometry_.cluster_size); }
  /// Host offset for `size` compressed bytes (1 to cluster size - 1), placed as QEMU's qcow2_alloc_bytes
  /// does: right behind the run before, into the next cluster only if that one is free and adjoins.
  uint64_t Bytes(uint32_t size);

  /// The guest cluster at `guest` has been packed or marked: its group will want a table.
  void Touch(uint64_t guest) {
    if (geometry_.group_bytes != 0) open_group_ = guest / geometry_.group_bytes + 1;
  }
  /// The stream has come to guest offset `guest`: ends the open group if that lies before. True = it got a
  /// table.
  bool PassTo(uint64_t guest, uint64_t* group, uint64_t* table);
  /// Ends the open group, if there is one.
  bool End(uint64_t* group, uint64_t* table);

  /// First cluster that nothing was placed in or after.
  [[nodiscard]] uint64_t first_free() const { return next_; }

 private:
  uint64_t Clusters(uint64_t bytes);

  PackGeometry geometry_;
  uint64_t next_;
  /// Host offset where the next compressed run may go; 0 = nowhere.
  uint64_t tail_ = 0;
  uint64_t tail_runs_ = 0;
  /// Number of the group + 1; 0 = none.
  uint64_t open_group_ = 0;
};

}  // namespace basecow
