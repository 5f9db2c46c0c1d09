#include "hash/md5_schedule.h"

#include <algorithm>

namespace basecow {

namespace {

constexpr size_t kBlock = 64;
/// Streams that take turns because there are more than lanes swap no more often than this.
constexpr size_t kLeastTurn = 64;
/// Lanes of neighbours that may stand at the same place of a page, and how many blocks the next ones stand
/// off.
constexpr size_t kAbreast = 4;
constexpr size_t kApart = 8;
constexpr size_t kRanks = 8;

bool Longer(const Md5Job& left, const Md5Job& right) {
  return left.blocks > right.blocks;
}

bool Done(const Md5Job& job) {
  return job.blocks == 0;
}

/// Blocks that each of jobs[0..count) has.
size_t Least(const Md5Job* jobs, size_t count) {
  size_t least = jobs[0].blocks;
  for (size_t i = 1; i < count; ++i) least = std::min(least, jobs[i].blocks);
  return least;
}

/// By what is left of it when `lead` counts as work to do: those that shall lead come first until they do.
bool MoreToDo(const Md5Job& left, const Md5Job& right) {
  return left.blocks + left.lead > right.blocks + right.lead;
}

/// Chunks of a power of two put all lanes at the same place of their pages, that is into one set of each
/// cache, which holds a line for 8 to 12 of them; the others' lines are gone before their second quarter is
/// read. Such streams get leads. Gives the blocks between ranks, 0 = none.
size_t GiveLeads(Md5Job* jobs, size_t count, size_t lanes) {
  constexpr uintptr_t kPage = 4096;
  const auto place = [](const Md5Job& job) { return reinterpret_cast<uintptr_t>(job.data) % kPage / kBlock; };
  if (lanes <= 2 * kAbreast || count <= 2 * kAbreast) return 0;
  size_t same = 0;
  for (size_t i = 0; i < std::min(count, lanes); ++i) same += place(jobs[i]) == place(jobs[0]) ? 1 : 0;
  if (same <= 2 * kAbreast) return 0;
  const size_t apart = std::min(kApart, jobs[0].blocks / 128);
  for (size_t i = 0; i < count; ++i) jobs[i].lead = (kRanks - 1 - i / kAbreast % kRanks) * apart;
  return apart;
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
    if (l >= live) std::fill_n(spare[l], 4, 0U);
  }
  kernel.run(states, data, blocks);
  for (size_t l = 0; l < live; ++l) {
    jobs[l].data += blocks * kBlock;
    jobs[l].blocks -= blocks;
  }
}

/// Advances jobs[0..count) by `blocks`, which each of them has.
void AdvanceAll(const Md5Kernels& kernels, Md5Job* jobs, size_t count, size_t blocks) {
  if (blocks == 0) return;
  while (count > 1) {
    const Md5Lanes& kernel = kernels.ForLive(count);
    const size_t width = std::min<size_t>(count, kernel.lanes);
    Advance(kernel, jobs, width, blocks);
    jobs += width;
    count -= width;
  }
  if (count == 0) return;
  kernels.one(jobs->state, jobs->data, blocks);
  jobs->data += blocks * kBlock;
  jobs->blocks -= blocks;
}

}  // namespace

void RunMd5Jobs(const Md5Kernels& kernels, Md5Job* jobs, size_t count) {
  // The longest first: what is left for the end is short.
  if (!std::is_sorted(jobs, jobs + count, Longer)) std::sort(jobs, jobs + count, Longer);
  while (count > 0 && Done(jobs[count - 1])) --count;
  if (count == 0) return;

  const Md5Lanes& widest = kernels.ForLive(count);
  const size_t lanes = widest.lanes;
  const size_t apart = GiveLeads(jobs, count, lanes);
  size_t next = std::min<size_t>(lanes, count);
  // The first ranks take their leads.
  for (size_t ahead = (next - 1) / kAbreast * kAbreast; apart != 0 && ahead > 0; ahead -= kAbreast) {
    AdvanceAll(kernels, jobs, ahead, std::min(apart, Least(jobs, ahead)));
  }
  // While more wait than there are lanes, each lane that ends is filled again at once.
  while (count - next >= lanes) {
    const size_t blocks = Least(jobs, lanes);
    if (blocks != 0) Advance(widest, jobs, lanes, blocks);
    for (size_t l = 0; l < lanes; ++l) {
      if (jobs[l].blocks != 0 || next == count) continue;
      const size_t lead = jobs[l].lead;
      jobs[l] = jobs[next++];
      jobs[l].lead = lead;
    }
  }
  // What is left: lanes that run, and fewer waiting than lanes. They take turns, those with most to do first,
  // so that all end together and none runs alone longer than it must.
  size_t live = 0;
  for (size_t i = 0; i < count; ++i) {
    if ((i < lanes || i >= next) && jobs[i].blocks != 0) jobs[live++] = jobs[i];
  }
  while (live > 1) {
    const Md5Lanes& kernel = kernels.ForLive(live);
    const size_t width = std::min<size_t>(live, kernel.lanes);
    if (width < live) std::sort(jobs, jobs + live, MoreToDo);
    size_t blocks = Least(jobs, width);
    if (width < live) {
      // Until those that wait have more to do, and a turn longer.
      const size_t least = jobs[width - 1].blocks + jobs[width - 1].lead;
      const size_t waiting = jobs[width].blocks + jobs[width].lead;
      blocks = std::min(blocks, least - waiting + std::max(kLeastTurn, waiting / 4));
    }
    Advance(kernel, jobs, width, blocks);
    live = static_cast<size_t>(std::remove_if(jobs, jobs + live, Done) - jobs);
  }
  if (live == 1) kernels.one(jobs[0].state, jobs[0].data, jobs[0].blocks);
}

}  // namespace basecow
