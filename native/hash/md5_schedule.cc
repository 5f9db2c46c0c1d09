#include "hash/md5_schedule.h"

#include <algorithm>

namespace basecow {

namespace {

constexpr size_t kBlock = 64;
/// Streams that take turns because there are more than lanes swap no more often than this.
constexpr size_t kLeastTurn = 64;

bool Longer(const Md5Job& left, const Md5Job& right) {
  return left.blocks > right.blocks;
}

/// Advances jobs[0..live) by `blocks`, which each of them has.
void Advance(const Md5Lanes& kernel, Md5Job* jobs, size_t live, size_t blocks) {
  uint32_t* states[kMd5MaxLanes];
  const uint8_t* data[kMd5MaxLanes];
  // Lanes without a stream compress the first one's bytes into states that nobody looks at.
  uint32_t spare[kMd5MaxLanes][4];
  for (size_t l = 0; l < kernel.lanes; ++l) {
    states[l] = l < live ? jobs[l].state : spare[l];
    data[l] = l < live ? jobs[l].data : jobs[0].data;
    if (l >= live) std::fill_n(spare[l], 4, 0);
  }
  kernel.run(states, data, blocks);
  for (size_t l = 0; l < live; ++l) {
    jobs[l].data += blocks * kBlock;
    jobs[l].blocks -= blocks;
  }
}

}  // namespace

void RunMd5Jobs(const Md5Kernels& kernels, Md5Job* jobs, size_t count) {
  // The longest first: what is left for the end is short.
  if (!std::is_sorted(jobs, jobs + count, Longer)) std::sort(jobs, jobs + count, Longer);
  while (count > 0 && jobs[count - 1].blocks == 0) --count;

  // While more wait than there are lanes, each lane that ends is filled again at once.
  const Md5Lanes& widest = kernels.ForLive(count);
  const size_t lanes = widest.lanes;
  size_t next = std::min<size_t>(lanes, count);
  while (count - next >= lanes) {
    size_t blocks = jobs[0].blocks;
    for (size_t l = 1; l < lanes; ++l) blocks = std::min(blocks, jobs[l].blocks);
    Advance(widest, jobs, lanes, blocks);
    for (size_t l = 0; l < lanes; ++l)
      if (jobs[l].blocks == 0 && next < count) jobs[l] = jobs[next++];
  }
  // What is left: lanes that run, and fewer waiting than lanes. They take turns, those with most to do first,
  // so that all end together and none runs alone longer than it must.
  size_t live = 0;
  for (size_t i = 0; i < count; ++i) {
    if ((i < lanes || i >= next) && jobs[i].blocks != 0) jobs[live++] = jobs[i];
  }
  while (live > 0) {
    std::sort(jobs, jobs + live, Longer);
    while (live > 0 && jobs[live - 1].blocks == 0) --live;
    if (live < 2) break;
    const Md5Lanes& kernel = kernels.ForLive(live);
    const size_t width = std::min<size_t>(live, kernel.lanes);
    size_t blocks = jobs[width - 1].blocks;
    if (width < live) {
      const size_t turn = std::max(kLeastTurn, jobs[width].blocks / 4);
      blocks = std::min(blocks, jobs[width - 1].blocks - jobs[width].blocks + turn);
    }
    Advance(kernel, jobs, width, blocks);
  }
  if (live == 1) kernels.one(jobs[0].state, jobs[0].data, jobs[0].blocks);
}

}  // namespace basecow
