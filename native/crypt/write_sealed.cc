#include "crypt/write_sealed.h"

#include <algorithm>

#include "crypt/sector_cipher.h"
#include "io/file_io.h"

namespace basecow {

namespace {

/// Encrypted and written in one go: it stays in the cache between the two.
constexpr size_t kStep = 256U << 10;

}  // namespace

Status WriteSealed(int fd, std::string_view path, const std::vector<SealedPiece>& pieces,
                   const Cipher& cipher) {
  SectorCipher sectors(cipher);
  const AlignedBuffer sealed(kStep);
  if (sealed.data() == nullptr) return Status::System(ENOMEM, "malloc", path);
  for (const auto& [piece, sector] : pieces) {
    for (size_t at = 0; at < piece.length; at += kStep) {
      const size_t some = std::min(kStep, piece.length - at);
      BASECOW_TRY(sectors.Encrypt(piece.data + at, sealed.data(), some, sector + at / kCipherSector));
      BASECOW_TRY(WriteFull(fd, path, sealed.data(), some, piece.offset + at));
    }
  }
  return Status::Ok();
}

}  // namespace basecow
