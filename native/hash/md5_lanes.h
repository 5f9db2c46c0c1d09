// MD5 block compression in vectors: lane l of a vector holds a word of stream l. While the steps of one block
// run, the words of the next are brought into lane order, a few instructions at a time, so that they fill
// slots the chain of steps leaves. Included by one file per target; everything here is local to that file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hash/md5_steps.h"

namespace basecow {
namespace {

#define BASECOW_INLINE inline __attribute__((always_inline))
#define BASECOW_UNROLL _Pragma("GCC unroll 32")

// V describes a vector type:
//   Word, kLanes, kAhead (bytes that a lane's data is asked for before it is needed), Add(x, y),
//   Rotate<s>(x), Broadcast(const uint32_t*), Pin(Word&), AddF/AddG/AddH/AddI(t, b, c, d): t + f(b, c, d) on
//   the shortest path from b, Quad(rows, at, out): out[w] = word w of the 16 bytes at rows[l] + at, of every
//   lane l, Unquad(in, rows): the reverse, stored at rows[l]. kWholeLines: words are staged from whole cache
//   lines, with Lines(rows, at, mixed) and Words(mixed, out), see StageLines.

template <typename V, int groups>
struct Staged {
  alignas(64) typename V::Word words[groups][16];
};

/// Words 4 * quad and up of group n's block at `at`.
template <typename V, int groups>
BASECOW_INLINE void StageQuad(Staged<V, groups>& staged, const uint8_t* const* data, size_t at, int n,
                              int quad) {
  constexpr int lanes = V::kLanes;
  const uint8_t* const* rows = data + n * lanes;
  // The rows' addresses are read anew each time: there are more than registers, and moving them to and from
  // vector registers, as compilers like to, takes slots that the steps need.
  asm("" : "+r"(rows));
  // Prefetching past the end of the data does no harm, whatever is there.
  BASECOW_UNROLL
  for (int l = 0; l < lanes / 4; ++l) {
    const auto row = reinterpret_cast<uintptr_t>(rows[quad * lanes / 4 + l]);
    __builtin_prefetch(reinterpret_cast<const void*>(row + at + V::kAhead));
  }
  V::Quad(rows, at + 16 * static_cast<size_t>(quad), staged.words[n] + 4 * quad);
}

/// For vectors as long as a cache line. Phases 0 to 3 read four lanes' lines each, whole and once, which the
/// processor's own prefetching follows, into `mixed`; phases 4 to 7 make four words of all lanes each.
template <typename V, int groups>
BASECOW_INLINE void StageLines(Staged<V, groups>& staged, Staged<V, groups>& mixed,
                               const uint8_t* const* data, size_t at, int n, int phase) {
  if (phase < 4) {
    const uint8_t* const* rows = data + n * V::kLanes + 4 * phase;
    asm("" : "+r"(rows));
    BASECOW_UNROLL
    for (int l = 0; l < 4; ++l) {
      const auto row = reinterpret_cast<uintptr_t>(rows[l]);
      __builtin_prefetch(reinterpret_cast<const void*>(row + at + V::kAhead));
    }
    V::Lines(rows, at, mixed.words[n] + 4 * phase);
  } else {
    V::Words(mixed.words[n] + (phase - 4), staged.words[n] + (phase - 4));
  }
}

/// Parts that the staging of a block is done in.
template <typename V>
inline constexpr int kPhases = V::kWholeLines ? 8 : 4;

template <typename V, int groups>
BASECOW_INLINE void Stage(Staged<V, groups>& staged, Staged<V, groups>& mixed, const uint8_t* const* data,
                          size_t at, int n, int phase) {
  if constexpr (V::kWholeLines) {
    StageLines<V, groups>(staged, mixed, data, at, n, phase);
  } else {
    StageQuad<V, groups>(staged, data, at, n, phase);
  }
}

template <typename V, int groups>
BASECOW_INLINE void RunLanes(uint32_t* const* states, const uint8_t* const* data, size_t blocks) {
  using Word = typename V::Word;
  struct State {
    Word a, b, c, d;
  };
  State v[groups];
  State start[groups];
  Staged<V, groups> staged[2];
  Staged<V, groups> mixed;  // not used, and so nowhere, unless kWholeLines
  // Of a block of all groups; spread evenly over its steps.
  constexpr int parts = kPhases<V> * groups;
  BASECOW_UNROLL
  for (int n = 0; n < groups; ++n) {
    Word words[4];
    V::Quad(reinterpret_cast<const uint8_t* const*>(states + n * V::kLanes), 0, words);
    v[n] = {words[0], words[1], words[2], words[3]};
    BASECOW_UNROLL
    for (int phase = 0; phase < kPhases<V>; ++phase) Stage<V, groups>(staged[0], mixed, data, 0, n, phase);
  }
  Staged<V, groups>* now = &staged[0];
  Staged<V, groups>* next = &staged[1];
  const uint32_t* sines = kMd5Sines;
  for (size_t at = 0;; at += 64) {
    // In the last round there may be no next block: this one is staged again.
    const size_t ahead = blocks > 1 ? at + 64 : at;
    // Keeps the compiler from holding 64 constants in registers and spilling them.
    asm("" : "+r"(sines));
    BASECOW_UNROLL
    for (int n = 0; n < groups; ++n) start[n] = v[n];
#define STEP(f, a, b, c, d, i, word, s)                                                      \
  BASECOW_UNROLL for (int n = 0; n < groups; ++n) {                                          \
    if constexpr ((i)*parts % 64 < parts) {                                                  \
      constexpr int part = (i)*parts / 64;                                                   \
      if (part % groups == n) Stage<V, groups>(*next, mixed, data, ahead, n, part / groups); \
    }                                                                                        \
    Word t = V::Add(V::Add(v[n].a, now->words[n][word]), V::Broadcast(sines + (i)));         \
    V::Pin(t);                                                                               \
    t = V::Add##f(t, v[n].b, v[n].c, v[n].d);                                                \
    v[n].a = V::Add(V::template Rotate<s>(t), v[n].b);                                       \
  }
    BASECOW_MD5_STEPS(STEP);
#undef STEP
    // The last step; the block's start is added off the path.
    BASECOW_UNROLL
    for (int n = 0; n < groups; ++n) {
      Word end = V::Add(start[n].b, v[n].c);
      V::Pin(end);
      Word t = V::Add(V::Add(v[n].b, now->words[n][9]), V::Broadcast(sines + 63));
      V::Pin(t);
      t = V::AddI(t, v[n].c, v[n].d, v[n].a);
      v[n].b = V::Add(V::template Rotate<21>(t), end);
      v[n].a = V::Add(v[n].a, start[n].a);
      v[n].c = V::Add(v[n].c, start[n].c);
      v[n].d = V::Add(v[n].d, start[n].d);
    }
    if (--blocks == 0) break;
    Staged<V, groups>* const done = now;
    now = next;
    next = done;
  }
  BASECOW_UNROLL
  for (int n = 0; n < groups; ++n) {
    const Word words[4] = {v[n].a, v[n].b, v[n].c, v[n].d};
    V::Unquad(words, states + n * V::kLanes);
  }
}

}  // namespace
}  // namespace basecow
