// A thread's SectorCiphers, made when they are first needed.
#pragma once

#include <memory>
#include <vector>

#include "crypt/sector_cipher.h"

namespace basecow {

class CipherCache {
 public:
  /// Stays valid as long as the cache.
  SectorCipher& Of(const std::shared_ptr<const Cipher>& cipher) {
    for (const Entry& entry : entries_) {
      if (entry.cipher == cipher) return *entry.made;
    }
    entries_.push_back({cipher, std::make_unique<SectorCipher>(*cipher)});
    return *entries_.back().made;
  }

 private:
  struct Entry {
    std::shared_ptr<const Cipher> cipher;
    std::unique_ptr<SectorCipher> made;
  };
  std::vector<Entry> entries_;
};

}  // namespace basecow
