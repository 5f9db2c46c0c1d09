// Many pieces encrypted and written.
#pragma once

#include <string_view>
#include <vector>

#include "crypt/cipher.h"
#include "io/write_pieces.h"

namespace basecow {

/// Whole sectors, and the number of the first.
struct SealedPiece {
  Piece piece;
  uint64_t sector;
};

/// Writes the pieces in the order given; their own bytes stay as they are.
Status WriteSealed(int fd, std::string_view path, const std::vector<SealedPiece>& pieces,
                   const Cipher& cipher);

}  // namespace basecow
