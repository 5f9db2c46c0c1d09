// Writes guest bytes to a host file at their own offset, or where a placement says (RawSink in
// src/native.ts). Gaps between rows are left alone.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "crypt/sector_cipher.h"
#include "io/reserve.h"
#include "transfer/sink.h"

namespace basecow {

enum class ZeroPolicy : uint8_t { kSkip, kPunch, kWrite };

struct RawOptions {
  int fd = -1;
  std::string path;
  uint64_t shift = 0;
  /// Bytes, multiple of 512; 0 = data is written as it is.
  uint64_t detect_zeros = 0;
  ZeroPolicy zeros = ZeroPolicy::kSkip;
  bool offload = false;
  bool drop_cache = false;
  /// Data is written encrypted; nullptr = as it is.
  std::shared_ptr<const Cipher> cipher = nullptr;
};

Status ValidateRaw(const RawOptions& options);

class RawSink : public Sink {
 public:
  explicit RawSink(RawOptions options);

  [[nodiscard]] bool Skips(const Row* row) const override;
  [[nodiscard]] uint64_t ZeroRun() const override;
  Status Check(const Batch& batch) override;
  Status Process(Worker& worker, Task& task) override;
  Status Leave(Worker& worker) override;

 private:
  enum class Way : uint8_t { kClone, kCopyRange, kReadWrite };

  /// Calls `put(host, from, to)` for guest [from, to), cut where its placement changes.
  template <class Put>
  Status Where(const Task& task, uint64_t from, uint64_t to, Put&& put) const;
  Status PutData(Worker& worker, Task& task, uint64_t from, uint64_t to, const uint8_t* data);
  Status PutZeros(Worker& worker, Task& task, uint64_t from, uint64_t to);
  Status Write(Worker& worker, Task& task, uint64_t host, uint64_t guest, const uint8_t* data, size_t length);
  /// Bytes at host offset `host`, as they are or encrypted.
  Status Store(Worker& worker, uint64_t host, uint64_t guest, const uint8_t* data, size_t length);
  Status StoreSealed(Worker& worker, uint64_t host, uint64_t guest, const uint8_t* data, size_t length);
  /// Changes part of the encrypted sector at host offset `host`.
  Status Merge(SectorCipher& cipher, uint64_t host, uint64_t sector, size_t skip, const uint8_t* data,
               size_t length);
  Status Zero(Worker& worker, Task& task, uint64_t host, uint64_t guest, uint64_t length);
  /// Inside the kernel, as far as that goes; `*done` bytes of [from, to).
  Status Offload(Worker& worker, Task& task, const SourceFile& file, const Row& row, uint64_t from,
                 uint64_t to, uint64_t* done);

  const RawOptions options_;
  /// Cheapest way that has not been refused yet; a hint, so threads need not agree.
  std::atomic<Way> way_;
  StorageReserve storage_;
  /// Held while part of a sector changes: the task beside may have the other part.
  std::mutex merging_;
};

}  // namespace basecow
