#include "transfer/plan.h"

namespace basecow {

namespace {

Status Invalid(const char* what, size_t row, std::string_view detail) {
  Status status;
  status.err = EINVAL;
  status.message = "EINVAL: ";
  status.message.append(what).append(" ").append(std::to_string(row)).append(": ").append(detail);
  return status;
}

bool InRange(uint64_t start, uint64_t length) {
  return start <= kMaxOffset && length <= kMaxOffset - start;
}

}  // namespace

Status ValidateSource(const Source& source) {
  uint64_t end = 0;
  for (size_t i = 0; i < source.rows.size(); i++) {
    const Row& row = source.rows[i];
    const auto bad = [i](std::string_view detail) { return Invalid("extent", i, detail); };
    if (row.kind > Kind::kZstd) return bad("unknown kind");
    if (!InRange(row.start, row.length)) return bad("guest range beyond 2^53");
    if (row.start < end) return bad("not after the extent before it");
    end = row.end();
    if (ReadsAsZeros(row.kind)) continue;
    if (row.file >= source.files.size()) return bad("no such file");
    const Cipher* const cipher = source.files[row.file].cipher.get();
    if (IsCompressed(row.kind)) {
      if (cipher != nullptr) return bad("compressed and encrypted");
      if (row.unit == 0 || row.unit > kMaxUnit) return bad("unit of 0 or more than 2 MiB");
      if (row.skip > row.unit || row.length > row.unit - row.skip) return bad("longer than its unit");
      if (row.compressed_length > 2 * row.unit + 4096) return bad("compressed length above twice the unit");
      if (!InRange(row.offset, row.compressed_length)) return bad("host range beyond 2^53");
    } else if (!InRange(row.offset, row.length)) {
      return bad("host range beyond 2^53");
    } else if (cipher != nullptr && !cipher->Reaches(row.start, row.offset)) {
      return bad("before the first encrypted sector");
    }
  }
  return Status::Ok();
}

Status ValidatePlacement(const std::vector<Placed>& placement) {
  uint64_t end = 0;
  for (size_t i = 0; i < placement.size(); i++) {
    const Placed& placed = placement[i];
    if (!InRange(placed.start, placed.length)) return Invalid("placement", i, "guest range beyond 2^53");
    if (!InRange(placed.offset, placed.length)) return Invalid("placement", i, "host range beyond 2^53");
    if (placed.start < end) return Invalid("placement", i, "not after the placement before it");
    end = placed.end();
  }
  return Status::Ok();
}

}  // namespace basecow
