// One of the digests that a thread works on side by side: its state, and the way to its next bytes.
#pragma once

#include <memory>
#include <vector>

#include "io/fault_area.h"
#include "transfer/digest_units.h"
#include "transfer/reader.h"

namespace basecow {

/// Bytes of a file that one lane has mapped, or asks for, at a time.
inline constexpr uint64_t kLaneWindow = 1U << 20;

/// What the lanes of a thread share.
struct LaneContext {
  const ReadOptions& options;
  const Control& control;
  FaultArea& area;
};

/// A unit, or the part of it that lies in the batch.
struct UnitPart {
  Unit unit;
  uint64_t from;
  uint64_t to;
  /// Index of the row that ends after `from`.
  size_t row;
  /// Nothing but zeros.
  bool zeros;
};

class DigestLane {
 public:
  /// Bytes that one Next gives at most.
  static constexpr size_t kPiece = 256U << 10;

  /// `window`: the lane's own in the area.
  DigestLane(const Md5Kernels& kernels, size_t window) : state(kernels), before_(kernels), window_(window) {}

  /// state is the caller's to start.
  void Begin(const UnitPart& part);
  /// Asks for the bytes that Next will wait for.
  void Ahead(const Task& task);
  /// The next bytes; they stay until the call after.
  Status Next(const LaneContext& context, Task& task, const uint8_t** data, size_t* length);
  /// After the bytes went into `state`: what could not be read through the window is read again and digested
  /// anew, or is the error.
  Status Settle(const LaneContext& context, Task& task);

  [[nodiscard]] const UnitPart& part() const { return part_; }
  [[nodiscard]] bool done() const { return at_ == part_.to; }

  DigestState state;
  bool live = false;

 private:
  Status Gather(const LaneContext& context, Task& task, const uint8_t** data, size_t* length);
  Status ReadRow(const LaneContext& context, Task& task, const Row& row, uint64_t to);
  /// Through a window; false = not this time.
  Status Window(const LaneContext& context, const Source& source, const Row& row, const uint8_t** data,
                size_t* length);
  Reader& reader(const LaneContext& context);
  Status Room();

  DigestState before_;
  const size_t window_;
  UnitPart part_{};
  uint64_t at_ = 0;
  size_t row_ = 0;
  size_t length_ = 0;
  /// The bytes at hand are the window's.
  bool mapped_ = false;
  /// No more windows for this unit.
  bool refused_ = false;
  /// What the window shows.
  int window_fd_ = -1;
  uint64_t window_begin_ = 0;
  uint64_t window_end_ = 0;
  const uint8_t* window_data_ = nullptr;
  /// Host bytes that have been asked for, of ahead_fd_.
  int ahead_fd_ = -1;
  uint64_t ahead_begin_ = 0;
  uint64_t ahead_end_ = 0;
  std::unique_ptr<Reader> reader_;
  AlignedBuffer buffer_;
  AlignedBuffer bounce_;
};

/// `length` bytes of `fd` from page-aligned `offset` on through window `index`; nullptr when the file is
/// shorter, or when it cannot be mapped.
const uint8_t* MapWindow(FaultArea& area, size_t index, int fd, uint64_t offset, uint64_t length);

}  // namespace basecow
