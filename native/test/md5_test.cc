// Every kernel that this processor can run, whichever of them it would choose, against OpenSSL's digests and
// the vectors of RFC 1321. The random numbers are the same on every run.
#include "hash/md5.h"

#include <algorithm>

#include "check.h"
#include "hash/md5_many.h"
#include "hash/md5_schedule.h"
#include "md5_judge.h"

using basecow::Md5;
using basecow::Md5Feed;
using basecow::Md5Job;
using basecow::Md5Kernels;
using basecow::Md5Lanes;
using basecow::Md5Message;
using basecow::Md5Pair;

namespace {

using Bytes = std::vector<uint8_t>;

std::string Judge(const uint8_t* data, size_t length) {
  return judge::Md5(data, length);
}

std::string Final(Md5& md5) {
  uint8_t digest[16];
  md5.Final(digest);
  return check::Hex(digest, 16);
}

std::string Alone(const Md5Kernels& kernels, const uint8_t* data, size_t length) {
  Md5 md5(kernels);
  md5.Update(data, length);
  return Final(md5);
}

std::vector<std::string> Messages(const Md5Kernels& kernels, const std::vector<Md5Message>& messages) {
  Bytes digests(messages.size() * 16);
  basecow::Md5Messages(messages.data(), messages.size(), reinterpret_cast<uint8_t(*)[16]>(digests.data()),
                       kernels);
  std::vector<std::string> hex;
  for (size_t i = 0; i < messages.size(); ++i) hex.push_back(check::Hex(digests.data() + 16 * i, 16));
  return hex;
}

std::vector<const Md5Kernels*> Sets() {
  size_t count = 0;
  const Md5Kernels* const* sets = basecow::RunnableMd5Kernels(&count);
  return {sets, sets + count};
}

/// Digest by one lane kernel alone: `length` must be a multiple of 64; the padding is done by the portable
/// kernel.
std::string WithPadding(uint32_t state[4], uint64_t length) {
  uint8_t tail[64] = {0x80};
  const uint64_t bits = length * 8;
  for (size_t i = 0; i < 8; ++i) tail[56 + i] = static_cast<uint8_t>(bits >> (8 * i));
  basecow::PortableMd5Kernels().one(state, tail, 1);
  uint8_t digest[16];
  for (size_t i = 0; i < 16; ++i) digest[i] = static_cast<uint8_t>(state[i / 4] >> (8 * (i % 4)));
  return check::Hex(digest, 16);
}

void Begin(uint32_t state[4]) {
  const uint32_t initial[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  memcpy(state, initial, sizeof(initial));
}

struct Vector {
  const char* text;
  const char* digest;
};

const Vector kVectors[] = {
    {"", "d41d8cd98f00b204e9800998ecf8427e"},
    {"a", "0cc175b9c0f1b6a831c399e269772661"},
    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
     "57edf4a22be3c955ac49da2e2107b67a"},
};

}  // namespace

TEST("the judges agree with md5sum") {
  check::Random random(10);
  const check::Folder folder;
  std::string paths;
  std::vector<Bytes> files;
  for (const size_t length : {0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000, 4096, 70000}) {
    files.push_back(random.Bytes(length));
    const std::string path = folder / std::to_string(length);
    FILE* file = fopen(path.c_str(), "w");
    CHECK(file != nullptr && (length == 0 || fwrite(files.back().data(), 1, length, file) == length));
    if (file != nullptr) fclose(file);
    paths += " " + path;
  }
  const std::vector<std::string> digests = judge::Md5sum(paths);
  CHECK_EQ(digests.size(), files.size());
  for (size_t i = 0; i < digests.size(); ++i) {
    CHECK_EQ(judge::Textbook(files[i].data(), files[i].size()), digests[i]);
    CHECK_EQ(Judge(files[i].data(), files[i].size()), digests[i]);
  }
}

TEST("the sets are named, ordered and end with the portable one") {
  const std::vector<const Md5Kernels*> sets = Sets();
  CHECK(sets.back() == &basecow::PortableMd5Kernels());
  for (const Md5Kernels* set : sets) {
    CHECK(basecow::FindMd5Kernels(set->name) == set);
    CHECK_EQ(set->many[0].least, 2U);
    for (size_t i = 0; i < set->many_count; ++i) {
      CHECK(set->many[i].lanes <= basecow::kMd5MaxLanes);
      CHECK(set->many[i].least <= set->many[i].lanes);
      CHECK(&set->ForLive(set->many[i].least) == &set->many[i]);
      if (i > 0) {
        CHECK(set->many[i].lanes > set->many[i - 1].lanes);
        CHECK(set->many[i].least > set->many[i - 1].least);
      }
    }
  }
  CHECK(basecow::FindMd5Kernels("sse9") == nullptr);
  CHECK(basecow::FindMd5Kernels("") == nullptr);
  printf("kernels:");
  for (const Md5Kernels* set : sets) printf(" %s", set->name);
  printf("; in use: %s\n", basecow::Md5Choice());
}

TEST("RFC 1321's test suite (A.5), alone and as messages side by side") {
  for (const Md5Kernels* set : Sets()) {
    std::vector<Md5Message> messages;
    for (int round = 0; round < 6; ++round) {
      for (const Vector& vector : kVectors) {
        messages.push_back({reinterpret_cast<const uint8_t*>(vector.text), strlen(vector.text)});
        CHECK_EQ(Alone(*set, messages.back().data, messages.back().length), vector.digest);
      }
    }
    const std::vector<std::string> digests = Messages(*set, messages);
    for (size_t i = 0; i < digests.size(); ++i) CHECK_EQ(digests[i], kVectors[i % 7].digest);
  }
}

TEST("zeros as md5sum has them") {
  const Bytes zeros(1 << 20, 0);
  for (const Md5Kernels* set : Sets()) {
    CHECK_EQ(Alone(*set, zeros.data(), 65536), "fcd6bcb56c1689fcef28b57c22475bad");
    CHECK_EQ(Alone(*set, zeros.data(), 1 << 20), "b6d81b360a5672d80c27430f39153e2c");
    for (const std::string& digest : Messages(*set, std::vector<Md5Message>(5, {zeros.data(), 1 << 20}))) {
      CHECK_EQ(digest, "b6d81b360a5672d80c27430f39153e2c");
    }
  }
}

TEST("every length from 0 to 2048, every set, alone and side by side") {
  check::Random random(11);
  const Bytes bytes = random.Bytes(2048 + 64);
  std::vector<std::string> expected;
  std::vector<Md5Message> messages;
  for (size_t length = 0; length <= 2048; ++length) {
    messages.push_back({bytes.data() + length % 64, length});
    expected.push_back(Judge(messages.back().data, length));
  }
  for (const Md5Kernels* set : Sets()) {
    for (size_t length = 0; length <= 2048; ++length) {
      CHECK_EQ(Alone(*set, messages[length].data, length), expected[length]);
    }
    CHECK(Messages(*set, messages) == expected);
  }
}

TEST("every lane kernel at every address, with no byte read outside of the blocks") {
  check::Random random(12);
  for (const Md5Kernels* set : Sets()) {
    for (size_t k = 0; k < set->many_count; ++k) {
      const Md5Lanes& kernel = set->many[k];
      for (size_t start = 0; start < 64; ++start) {
        for (const size_t blocks : {1, 2, 3, 7}) {
          // A block of memory of its own for each lane: the sanitizer watches both ends.
          std::vector<Bytes> memory;
          uint32_t state[basecow::kMd5MaxLanes][4];
          uint32_t* states[basecow::kMd5MaxLanes];
          const uint8_t* data[basecow::kMd5MaxLanes];
          for (size_t l = 0; l < kernel.lanes; ++l) {
            const size_t at = (start + l * 5) % 64;
            memory.push_back(random.Bytes(at + blocks * 64));
            data[l] = memory[l].data() + at;
            states[l] = state[l];
            Begin(state[l]);
          }
          kernel.run(states, data, blocks);
          for (size_t l = 0; l < kernel.lanes; ++l) {
            if (WithPadding(state[l], blocks * 64) != Judge(data[l], blocks * 64)) {
              check::Fail(__FILE__, __LINE__,
                          std::string(kernel.name) + " lane " + std::to_string(l) + " start " +
                              std::to_string(start) + " blocks " + std::to_string(blocks));
            }
          }
        }
      }
    }
  }
}

TEST("every one-stream kernel at every address") {
  check::Random random(13);
  for (const Md5Kernels* set : Sets()) {
    for (size_t start = 0; start < 64; ++start) {
      for (const size_t blocks : {1, 2, 5}) {
        const Bytes memory = random.Bytes(start + blocks * 64);
        uint32_t state[4];
        Begin(state);
        set->one(state, memory.data() + start, blocks);
        CHECK_EQ(WithPadding(state, blocks * 64), Judge(memory.data() + start, blocks * 64));
      }
    }
  }
}

TEST("lanes are independent and start where their state says") {
  check::Random random(14);
  const Bytes bytes = random.Bytes(basecow::kMd5MaxLanes * 64 * 3);
  for (const Md5Kernels* set : Sets()) {
    for (size_t k = 0; k < set->many_count; ++k) {
      uint32_t expected[basecow::kMd5MaxLanes][4];
      uint32_t actual[basecow::kMd5MaxLanes][4];
      uint32_t* states[basecow::kMd5MaxLanes];
      const uint8_t* data[basecow::kMd5MaxLanes];
      for (size_t l = 0; l < set->many[k].lanes; ++l) {
        for (uint32_t& word : expected[l]) word = static_cast<uint32_t>(random.Next());
        memcpy(actual[l], expected[l], sizeof(actual[l]));
        states[l] = actual[l];
        data[l] = bytes.data() + l * 192;
        basecow::PortableMd5Kernels().one(expected[l], data[l], 3);
      }
      set->many[k].run(states, data, 3);
      CHECK(memcmp(actual, expected, set->many[k].lanes * sizeof(actual[0])) == 0);
    }
  }
}

TEST("random mixes of continued streams of unequal lengths, any number at once") {
  check::Random random(15);
  const Bytes bytes = random.Bytes(64 << 10);
  for (const Md5Kernels* set : Sets()) {
    for (size_t count = 1; count <= 200; count += count < 40 ? 1 : 13) {
      std::vector<Md5> streams(count, Md5(*set));
      std::vector<Bytes> fed(count);
      for (int round = 0; round < 4; ++round) {
        std::vector<Md5Feed> feeds;
        // Short, long, equal, none: by the stream's number and the round.
        for (size_t i = 0; i < count; ++i) {
          size_t length = 0;
          switch (random.Below(5)) {
            case 0:
              length = random.Below(4);
              break;
            case 1:
              length = random.Below(200);
              break;
            case 2:
              length = 1024;
              break;
            case 3:
              length = random.Below(9000);
              break;
            default:
              length = 64 * random.Below(40);
              break;
          }
          // Some streams get the same bytes.
          const uint8_t* data =
              bytes.data() + (random.Below(3) == 0 ? 0 : random.Below(bytes.size() - length));
          feeds.push_back({&streams[i], data, length});
          fed[i].insert(fed[i].end(), data, data + length);
        }
        basecow::Md5UpdateMany(feeds.data(), feeds.size());
      }
      std::vector<Md5*> pointers;
      for (Md5& stream : streams) pointers.push_back(&stream);
      Bytes digests(count * 16);
      basecow::Md5FinalMany(pointers.data(), count, reinterpret_cast<uint8_t(*)[16]>(digests.data()));
      for (size_t i = 0; i < count; ++i) {
        CHECK_EQ(check::Hex(digests.data() + 16 * i, 16), Judge(fed[i].data(), fed[i].size()));
        // Reset: the stream begins anew.
        CHECK_EQ(Final(streams[i]), kVectors[0].digest);
      }
    }
  }
}

TEST("jobs of any lengths are done once each") {
  check::Random random(16);
  const Bytes bytes = random.Bytes(200 << 10);
  for (const Md5Kernels* set : Sets()) {
    for (int round = 0; round < 60; ++round) {
      const size_t count = 1 + random.Below(100);
      std::vector<Md5Job> jobs(count);
      std::vector<uint32_t> state(4 * count);
      std::vector<std::string> expected(count);
      // One much longer than the rest, all alike, or anything.
      const uint64_t kind = random.Below(3);
      for (size_t i = 0; i < count; ++i) {
        size_t blocks = random.Below(120);
        if (kind == 0) blocks = i == count / 2 ? 2500 : 100;
        if (kind == 1) blocks = 300;
        const uint8_t* data = bytes.data() + random.Below(bytes.size() - blocks * 64);
        Begin(&state[4 * i]);
        jobs[i] = {&state[4 * i], data, blocks};
        expected[i] = Judge(data, blocks * 64);
        if (blocks == 0) expected[i] = kVectors[0].digest;
      }
      std::vector<size_t> blocks;
      for (const Md5Job& job : jobs) blocks.push_back(job.blocks);
      basecow::RunMd5Jobs(*set, jobs.data(), count);
      for (size_t i = 0; i < count; ++i) CHECK_EQ(WithPadding(&state[4 * i], blocks[i] * 64), expected[i]);
    }
  }
}

TEST("chunks that lie a power of two apart, which take leads over each other") {
  check::Random random(19);
  const Bytes bytes = random.Bytes(70 * 32768 + 4096);
  const auto* page = bytes.data() + (4096 - reinterpret_cast<uintptr_t>(bytes.data()) % 4096) % 4096;
  std::vector<std::string> expected;
  for (size_t i = 0; i < 70; ++i) expected.push_back(Judge(page + i * 32768, 32768 - i % 3 * 700));
  for (const Md5Kernels* set : Sets()) {
    for (size_t count = 8; count <= 70; count += 1 + count / 16) {
      std::vector<Md5Message> messages;
      for (size_t i = 0; i < count; ++i) messages.push_back({page + i * 32768, 32768 - i % 3 * 700});
      CHECK(Messages(*set, messages) ==
            std::vector<std::string>(expected.begin(), expected.begin() + static_cast<long>(count)));
    }
  }
}

TEST("a whole stream and its chunks in one call") {
  check::Random random(17);
  const Bytes bytes = random.Bytes(600000);
  for (const Md5Kernels* set : Sets()) {
    for (const size_t chunk : {512, 4096, 65536, 100000}) {
      Md5 whole(*set);
      const size_t count = (bytes.size() + chunk - 1) / chunk;
      std::vector<Md5> chunks(count, Md5(*set));
      std::vector<Md5Feed> feeds = {{&whole, bytes.data(), bytes.size()}};
      for (size_t i = 0; i < count; ++i) {
        feeds.push_back({&chunks[i], bytes.data() + i * chunk, std::min(chunk, bytes.size() - i * chunk)});
      }
      basecow::Md5UpdateMany(feeds.data(), feeds.size());
      CHECK_EQ(Final(whole), Judge(bytes.data(), bytes.size()));
      for (size_t i = 0; i < count; ++i)
        CHECK_EQ(Final(chunks[i]), Judge(feeds[i + 1].data, feeds[i + 1].length));
    }
  }
}

TEST("a digest does not depend on how the bytes arrive") {
  check::Random random(18);
  const Bytes bytes = random.Bytes(5000);
  for (const Md5Kernels* set : Sets()) {
    for (size_t length = 0; length <= 260; ++length) {
      const uint8_t* data = bytes.data() + random.Below(64);
      Md5 parts(*set);
      for (size_t at = 0; at < length;) {
        const size_t piece = std::min<size_t>(length - at, 1 + random.Below(90));
        parts.Update(data + at, piece);
        at += piece;
      }
      CHECK_EQ(Final(parts), Judge(data, length));
    }
  }
}

TEST("a pair gives the digests of the whole and of each chunk") {
  check::Random random(2);
  const Bytes bytes = random.Bytes(40000);
  for (const Md5Kernels* set : Sets()) {
    for (const size_t chunk : {64, 100, 4096, 4097, 12800}) {
      Md5Pair pair(*set);
      uint8_t digest[16];
      for (size_t at = 0; at < bytes.size(); at += chunk) {
        const size_t length = std::min(chunk, bytes.size() - at);
        const size_t half = random.Below(length + 1);
        pair.Update(bytes.data() + at, half);
        pair.Update(bytes.data() + at + half, length - half);
        pair.FinalSecond(digest);
        CHECK_EQ(check::Hex(digest, 16), Judge(bytes.data() + at, length));
      }
      pair.FinalFirst(digest);
      CHECK_EQ(check::Hex(digest, 16), Judge(bytes.data(), bytes.size()));
    }
  }
}
