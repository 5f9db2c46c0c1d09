// A plan: where the bytes of a guest range are. Columns of src/disk/extents.ts copied out of JavaScript, so
// that nothing can change them while threads work.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crypt/cipher.h"
#include "io/file_traits.h"
#include "io/status.h"

namespace basecow {

/// Numbers as `Kind` in src/disk/extents.ts.
enum class Kind : uint8_t { kUnallocated = 0, kZero = 1, kData = 2, kDeflate = 3, kZstd = 4 };

inline bool ReadsAsZeros(Kind kind) {
  return kind <= Kind::kZero;
}
inline bool IsCompressed(Kind kind) {
  return kind >= Kind::kDeflate;
}

/// Largest unit that inflates in one go: the largest qcow2 cluster, bytes.
inline constexpr uint32_t kMaxUnit = 2U << 20;
/// Guest and host offsets are exact in a JavaScript number.
inline constexpr uint64_t kMaxOffset = (uint64_t{1} << 53) - 1;

struct Row {
  uint64_t start;
  uint64_t length;
  /// Host offset, bytes.
  uint64_t offset;
  /// Compressed kinds: bytes the descriptor claims, inflated bytes before this row's first, inflated size.
  uint32_t compressed_length;
  uint32_t skip;
  uint32_t unit;
  uint16_t file;
  Kind kind;

  [[nodiscard]] uint64_t end() const { return start + length; }
};

struct SourceFile {
  int fd;
  std::string path;
  /// Same values = same file, whatever descriptor it was opened through.
  uint64_t device = 0;
  uint64_t inode = 0;
  /// Known to digest jobs only, and not of files that are decrypted.
  FileTraits traits = {};
  /// Data rows are encrypted there; nullptr = they are not. Equal ciphers of a job are one object.
  std::shared_ptr<const Cipher> cipher = nullptr;
};

struct Source {
  std::vector<Row> rows;
  std::vector<SourceFile> files;
};

/// Guest bytes [start, start + length) go to host `offset`.
struct Placed {
  uint64_t start;
  uint64_t length;
  uint64_t offset;

  [[nodiscard]] uint64_t end() const { return start + length; }
};

/// Checks everything that reading relies on: order, overlap, ranges, file indexes, unit sizes, sector
/// numbers. EINVAL.
Status ValidateSource(const Source& source);
Status ValidatePlacement(const std::vector<Placed>& placement);

/// Index of the first row (or placement) that ends after `position`.
template <class Item>
size_t FirstAt(const std::vector<Item>& items, uint64_t position) {
  return static_cast<size_t>(std::partition_point(items.begin(), items.end(),
                                                  [&](const Item& item) { return item.end() <= position; }) -
                             items.begin());
}

/// Calls `visit(item or nullptr, from, to)` for the parts of [start, end) in order; nullptr is a gap. Begins
/// at items[first]. Stops at the first failure.
template <class Item, class Visit>
Status ForEachPart(const std::vector<Item>& items, size_t first, uint64_t start, uint64_t end,
                   Visit&& visit) {
  uint64_t at = start;
  for (size_t i = first; at < end; i++) {
    const Item* item = i < items.size() ? &items[i] : nullptr;
    if (item != nullptr && item->end() <= at) continue;
    const uint64_t begin = item == nullptr ? end : std::min(std::max(item->start, at), end);
    if (begin > at) {
      BASECOW_TRY(visit(static_cast<const Item*>(nullptr), at, begin));
      at = begin;
    }
    if (item == nullptr || at >= end) break;
    const uint64_t stop = std::min(item->end(), end);
    BASECOW_TRY(visit(item, at, stop));
    at = stop;
  }
  return Status::Ok();
}

}  // namespace basecow
