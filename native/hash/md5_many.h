// Many MD5 streams fed at once: vector instructions compress a block of each in the time of one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hash/md5.h"

namespace basecow {

/// A stream and the bytes it gets next.
struct Md5Feed {
  Md5* stream;
  const uint8_t* data;
  size_t length;
};

/// Updates every stream with its bytes. Streams are distinct; lengths, alignments and how far each stream has
/// come may differ, and the same bytes may feed several streams.
void Md5UpdateMany(const Md5Feed* feeds, size_t count);

}  // namespace basecow
