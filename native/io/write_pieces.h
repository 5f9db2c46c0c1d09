// Many small pieces written with few calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "io/status.h"

namespace basecow {

/// Bytes, and where in the file they go.
struct Piece {
  uint64_t offset;
  const uint8_t* data;
  size_t length;
};

/// Writes the pieces in the order given; runs that are adjacent in the file go out in one call.
Status WritePieces(int fd, std::string_view path, const std::vector<Piece>& pieces);

}  // namespace basecow
