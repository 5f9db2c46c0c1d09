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
/// come may differ, and the same bytes may feed several streams. The longest streams run first and side by
/// side, so the cost is that of the longest stream or of all bytes at the speed of many, whichever is more.
/// Runs on the calling thread, without allocating memory; the kernels are those of the first stream.
void Md5UpdateMany(const Md5Feed* feeds, size_t count);

/// Finishes every stream: digests[i] gets the digest of *streams[i], which is reset. The padding runs side by
/// side too, which counts when streams are short.
void Md5FinalMany(Md5* const* streams, size_t count, uint8_t (*digests)[kMd5Bytes]);

/// Bytes that are a whole message.
struct Md5Message {
  const uint8_t* data;
  size_t length;
};

/// digests[i] = the digest of messages[i]. The fastest way for messages that lie in memory, such as chunks or
/// blocks: pass as many at once as there are. 64 and more of like length run at full speed, a multiple of 192
/// loses nothing. Runs on the calling thread, without allocating memory.
void Md5Messages(const Md5Message* messages, size_t count, uint8_t (*digests)[kMd5Bytes],
                 const Md5Kernels& kernels = PickMd5Kernels());

}  // namespace basecow
