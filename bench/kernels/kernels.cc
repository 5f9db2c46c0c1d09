// The MD5 kernels alone: every kernel that this processor can run, with OpenSSL's one stream in the same
// round as the rival. Thread CPU time; rounds of all rows in turn, medians.
//   kernels [--json] [--small]        256 MiB per row, and hot in the second cache; --small: the hot rows
//   only kernels --fixed SET one|many MIB  digests MIB MiB of zeros in 64 KiB messages and nothing else, for
//   counting
//                                     instructions (callgrind) with SET as in BASECOW_MD5
//   kernels --threads N               1 MiB chunks on N threads at once: their speeds added up
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hash/md5.h"
#include "hash/md5_many.h"

using basecow::Md5;
using basecow::Md5Kernels;
using basecow::Md5Message;

namespace {

constexpr size_t kMiB = 1U << 20;
constexpr size_t kBig = 256 * kMiB;
constexpr int kRounds = 7;

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// The core's clock in GHz, from a chain of multiplications of 3 cycles each; 0 where that is not known to
/// hold.
double Clock() {
#if defined(__x86_64__)
  uint64_t value = 3;
  const double start = ThreadSeconds();
  for (int i = 0; i < 300000; ++i) asm volatile(".rept 10\n imul %0,%0\n .endr" : "+r"(value));
  return 9e6 / (ThreadSeconds() - start) / 1e9;
#else
  return 0;
#endif
}

using OpensslDigest = int (*)(const void*, size_t, unsigned char*, unsigned*, const void*, void*);

struct Openssl {
  OpensslDigest digest = nullptr;
  const void* md5 = nullptr;
  std::string version;
};

Openssl LoadOpenssl() {
  Openssl found;
  void* library = dlopen("libcrypto.so.3", RTLD_NOW);
  if (library == nullptr) library = dlopen("libcrypto.so.1.1", RTLD_NOW);
  if (library == nullptr) return found;
  found.digest = reinterpret_cast<OpensslDigest>(dlsym(library, "EVP_Digest"));
  found.md5 = reinterpret_cast<const void* (*)()>(dlsym(library, "EVP_md5"))();
  found.version = reinterpret_cast<const char* (*)(int)>(dlsym(library, "OpenSSL_version"))(0);
  return found;
}

struct Row {
  std::string kernel;
  std::string what;
  /// Bytes of one run, and how many runs make a sample.
  size_t bytes;
  size_t repeats;
  std::function<void()> run;
  std::vector<double> speeds;  // MB/s of thread CPU time
  std::vector<double> cycles;  // per byte
};

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Sample(Row& row) {
  const double before = Clock();
  const double start = ThreadSeconds();
  for (size_t i = 0; i < row.repeats; ++i) row.run();
  const double seconds = ThreadSeconds() - start;
  const double bytes = static_cast<double>(row.bytes * row.repeats);
  row.speeds.push_back(bytes / seconds / 1e6);
  row.cycles.push_back(seconds * (before + Clock()) / 2 * 1e9 / bytes);
}

struct Memory {
  uint8_t* bytes = nullptr;
  explicit Memory(size_t size) : bytes(static_cast<uint8_t*>(aligned_alloc(4096, size))) {
    if (bytes == nullptr) abort();
    uint64_t state = 88172645463325252ULL;
    for (size_t i = 0; i < size; i += 8) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      memcpy(bytes + i, &state, 8);
    }
  }
  ~Memory() { free(bytes); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
};

void OneStream(const Md5Kernels& kernels, const uint8_t* data, size_t length) {
  Md5 md5(kernels);
  // Pieces as a reader brings them.
  for (size_t at = 0; at < length; at += 256 << 10)
    md5.Update(data + at, std::min<size_t>(256 << 10, length - at));
  uint8_t digest[basecow::kMd5Bytes];
  md5.Final(digest);
}

void Chunks(const Md5Kernels& kernels, const uint8_t* data, size_t length, size_t chunk) {
  std::vector<Md5Message> messages;
  for (size_t at = 0; at < length; at += chunk) messages.push_back({data + at, chunk});
  std::vector<uint8_t> digests(messages.size() * basecow::kMd5Bytes);
  basecow::Md5Messages(messages.data(), messages.size(),
                       reinterpret_cast<uint8_t(*)[basecow::kMd5Bytes]>(digests.data()), kernels);
}

/// Chunks at odd distances, as buffers of one's own may lie, and as few as stay in the second cache.
void Spread(const Md5Kernels& kernels, const uint8_t* data, size_t count, size_t chunk) {
  std::vector<Md5Message> messages;
  for (size_t i = 0; i < count; ++i) messages.push_back({data + i * (chunk + 320), chunk});
  std::vector<uint8_t> digests(count * basecow::kMd5Bytes);
  basecow::Md5Messages(messages.data(), count,
                       reinterpret_cast<uint8_t(*)[basecow::kMd5Bytes]>(digests.data()), kernels);
}

std::string Bytes(size_t size) {
  return size >= kMiB ? std::to_string(size / kMiB) + " MiB" : std::to_string(size / 1024) + " KiB";
}

int Fixed(const char* name, bool one, size_t mebibytes) {
  const Md5Kernels* kernels = basecow::FindMd5Kernels(name);
  if (kernels == nullptr) {
    fprintf(stderr, "kernels: no set '%s' here\n", name);
    return 2;
  }
  const std::vector<uint8_t> zeros(kMiB, 0);
  for (size_t i = 0; i < mebibytes; ++i) {
    if (one) {
      OneStream(*kernels, zeros.data(), kMiB);
    } else {
      Chunks(*kernels, zeros.data(), kMiB, 64 << 10);
    }
  }
  return 0;
}

int Threads(size_t count) {
  const Md5Kernels& kernels = basecow::PickMd5Kernels();
  std::vector<std::unique_ptr<Memory>> memory;
  for (size_t i = 0; i < count; ++i) memory.push_back(std::make_unique<Memory>(128 * kMiB));
  struct Speed {
    double wall;
    double cpu;
  };
  const auto speed = [&](size_t threads) {
    timespec from{};
    timespec to{};
    std::vector<std::thread> running;
    std::vector<double> seconds(threads);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (size_t t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        const double start = ThreadSeconds();
        for (int i = 0; i < 40; ++i) Chunks(kernels, memory[t]->bytes, 128 * kMiB, kMiB);
        seconds[t] = ThreadSeconds() - start;
      });
    }
    for (std::thread& thread : running) thread.join();
    clock_gettime(CLOCK_MONOTONIC, &to);
    const double bytes = 40.0 * 128 * kMiB / 1e6;
    Speed found{0, 0};
    for (const double each : seconds) found.cpu += bytes / each;
    found.wall = static_cast<double>(threads) * bytes /
                 (static_cast<double>(to.tv_sec - from.tv_sec) +
                  static_cast<double>(to.tv_nsec - from.tv_nsec) * 1e-9);
    return found;
  };
  const Speed one = speed(1);
  const Speed all = speed(count);
  printf("1 MiB chunks, MB/s: 1 thread %.0f, %zu threads %.0f: %.2f times\n", one.wall, count, all.wall,
         all.wall / one.wall);
  // Where other work has the cores as well, this is what the threads do while they run.
  printf("of CPU time, added up: %.0f, %.0f: %.2f times\n", one.cpu, all.cpu, all.cpu / one.cpu);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  bool small = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") {
      json = true;
    } else if (word == "--small") {
      small = true;
    } else if (word == "--fixed" && i + 3 < argc) {
      return Fixed(argv[i + 1], strcmp(argv[i + 2], "one") == 0, strtoul(argv[i + 3], nullptr, 10));
    } else if (word == "--threads" && i + 1 < argc) {
      return Threads(strtoul(argv[i + 1], nullptr, 10));
    } else {
      fprintf(stderr, "usage: kernels [--json] [--small] | --fixed SET one|many MIB | --threads N\n");
      return 2;
    }
  }

  const Memory memory(kBig);
  const Openssl openssl = LoadOpenssl();
  std::vector<Row> rows;
  const auto add = [&](const std::string& kernel, const std::string& what, size_t bytes,
                       std::function<void()> run) {
    const size_t sample = small ? 4 * kMiB : 16 * kMiB;
    rows.push_back({kernel, what, bytes, std::max<size_t>(1, sample / bytes), std::move(run), {}, {}});
  };
  uint8_t digest[basecow::kMd5Bytes];
  for (const size_t size : {size_t{256 << 10}, kBig}) {
    if (small && size == kBig) continue;
    const std::string what = "one stream, " + Bytes(size);
    if (openssl.digest != nullptr) {
      add("openssl", what, size, [&, size] {
        unsigned length = 0;
        openssl.digest(memory.bytes, size, digest, &length, openssl.md5, nullptr);
      });
    }
    size_t count = 0;
    const Md5Kernels* const* sets = basecow::RunnableMd5Kernels(&count);
    std::vector<std::string> seen;
    for (size_t i = 0; i < count; ++i) {
      const Md5Kernels& set = *sets[i];
      if (std::find(seen.begin(), seen.end(), set.one_name) != seen.end()) continue;
      seen.emplace_back(set.one_name);
      add(set.one_name, what, size, [&, size] { OneStream(set, memory.bytes, size); });
    }
  }
  size_t count = 0;
  const Md5Kernels* const* sets = basecow::RunnableMd5Kernels(&count);
  for (size_t i = 0; i < count; ++i) {
    const Md5Kernels& set = *sets[i];
    // What a call with so many streams of 8 KiB gets.
    for (const size_t live : {2, 3, 4, 8, 16, 24, 48}) {
      add(set.name, std::to_string(live) + " x 8 KiB, hot", live * 8192,
          [&, live] { Spread(set, memory.bytes, live, 8192); });
    }
    if (small) continue;
    for (const size_t chunk : {size_t{4 << 10}, size_t{64 << 10}, kMiB}) {
      add(set.name, "chunks of " + Bytes(chunk) + ", 256 MiB", kBig,
          [&, chunk] { Chunks(set, memory.bytes, kBig, chunk); });
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    // The slowest rows need no seven runs of a third of a second.
    for (Row& row : rows)
      if (round < 3 || row.bytes < kBig || Median(row.speeds) > 2000) Sample(row);
  }

  if (json) {
    printf("{\"choice\":\"%s\",\"openssl\":\"%s\",\"rows\":[", basecow::Md5Choice(), openssl.version.c_str());
  } else {
    printf("in use: %s; rival: %s\n%-12s %-28s %9s %7s\n", basecow::Md5Choice(), openssl.version.c_str(),
           "kernel", "what", "MB/s", "c/B");
  }
  for (const Row& row : rows) {
    const bool first = &row == rows.data();
    if (json) {
      printf(
          "%s{\"kernel\":\"%s\",\"what\":\"%s\",\"bytes\":%zu,\"megabytesPerSecond\":%.1f,\"cyclesPerByte\":%"
          ".4f}",
          first ? "" : ",", row.kernel.c_str(), row.what.c_str(), row.bytes, Median(row.speeds),
          Median(row.cycles));
    } else {
      printf("%-12s %-28s %9.0f %7.4f\n", row.kernel.c_str(), row.what.c_str(), Median(row.speeds),
             Median(row.cycles));
    }
  }
  if (json) printf("]}\n");
  return 0;
}
