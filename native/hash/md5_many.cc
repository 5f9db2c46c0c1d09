#include "hash/md5_many.h"

#include <algorithm>
#include <cstring>

#include "hash/md5_padding.h"
#include "hash/md5_schedule.h"

namespace basecow {

namespace {

/// Streams that are scheduled together: what they need besides lies on the stack. A multiple of 16, 24
/// and 32 lanes.
constexpr size_t kTogether = 192;

void Digest(const uint32_t state[4], uint8_t digest[kMd5Bytes]) {
  for (size_t i = 0; i < kMd5Bytes; ++i) digest[i] = static_cast<uint8_t>(state[i / 4] >> (8 * (i % 4)));
}

}  // namespace

/// The way into a stream.
struct Md5Access {
  static void Update(const Md5Feed* feeds, size_t count) {
    const Md5Kernels& kernels = *feeds[0].stream->kernels_;
    Md5Job jobs[kTogether];
    size_t taken[kTogether];
    // Blocks that were begun before.
    size_t begun = 0;
    for (size_t i = 0; i < count; ++i) {
      Md5& stream = *feeds[i].stream;
      const size_t waiting = stream.length_ % kMd5Block;
      taken[i] = waiting == 0 ? 0 : std::min(feeds[i].length, kMd5Block - waiting);
      if (taken[i] == 0) continue;
      memcpy(stream.pending_ + waiting, feeds[i].data, taken[i]);
      stream.length_ += taken[i];
      if (waiting + taken[i] == kMd5Block) jobs[begun++] = {stream.state_, stream.pending_, 1};
    }
    if (begun != 0) RunMd5Jobs(kernels, jobs, begun);

    for (size_t i = 0; i < count; ++i) {
      const Md5Feed& feed = feeds[i];
      jobs[i] = {feed.stream->state_, feed.data + taken[i], (feed.length - taken[i]) / kMd5Block};
    }
    RunMd5Jobs(kernels, jobs, count);

    for (size_t i = 0; i < count; ++i) {
      Md5& stream = *feeds[i].stream;
      const size_t length = feeds[i].length - taken[i];
      const size_t rest = length % kMd5Block;
      stream.length_ += length;
      if (rest != 0) memcpy(stream.pending_, feeds[i].data + feeds[i].length - rest, rest);
    }
  }

  static void Final(Md5* const* streams, size_t count, uint8_t (*digests)[kMd5Bytes]) {
    Md5Job jobs[kTogether];
    uint8_t tails[kTogether][kMd5TailBytes];
    for (size_t i = 0; i < count; ++i) {
      Md5& stream = *streams[i];
      jobs[i] = {stream.state_, tails[i], Md5Tail(stream.pending_, stream.length_, tails[i])};
    }
    RunMd5Jobs(*streams[0]->kernels_, jobs, count);
    for (size_t i = 0; i < count; ++i) {
      Digest(streams[i]->state_, digests[i]);
      streams[i]->Reset();
    }
  }
};

void Md5UpdateMany(const Md5Feed* feeds, size_t count) {
  for (size_t at = 0; at < count; at += kTogether)
    Md5Access::Update(feeds + at, std::min(kTogether, count - at));
}

void Md5FinalMany(Md5* const* streams, size_t count, uint8_t (*digests)[kMd5Bytes]) {
  for (size_t at = 0; at < count; at += kTogether) {
    Md5Access::Final(streams + at, std::min(kTogether, count - at), digests + at);
  }
}

void Md5Messages(const Md5Message* messages, size_t count, uint8_t (*digests)[kMd5Bytes],
                 const Md5Kernels& kernels) {
  uint32_t states[kTogether][4];
  uint8_t tails[kTogether][kMd5TailBytes];
  Md5Job jobs[kTogether];
  for (size_t at = 0; at < count; at += kTogether) {
    const size_t some = std::min(kTogether, count - at);
    for (size_t i = 0; i < some; ++i) {
      memcpy(states[i], kMd5Initial, sizeof(kMd5Initial));
      jobs[i] = {states[i], messages[at + i].data, messages[at + i].length / kMd5Block};
    }
    RunMd5Jobs(kernels, jobs, some);
    for (size_t i = 0; i < some; ++i) {
      const Md5Message& message = messages[at + i];
      const uint8_t* rest = message.data + message.length / kMd5Block * kMd5Block;
      jobs[i] = {states[i], tails[i], Md5Tail(rest, message.length, tails[i])};
    }
    RunMd5Jobs(kernels, jobs, some);
    for (size_t i = 0; i < some; ++i) Digest(states[i], digests[at + i]);
  }
}

}  // namespace basecow
