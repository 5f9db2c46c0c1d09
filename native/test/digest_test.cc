// Digests of the whole, of chunks and of stretches; windows on files that shrink.
#include <sys/mman.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "hash/md5.h"
#include "io/fault_area.h"
#include "support.h"

using basecow::DigestOptions;
using basecow::FaultArea;
using basecow::Kind;
using basecow::Row;
using test::Data;
using test::Empty;
using test::kSegment;

namespace {

constexpr size_t kPage = 4096;

std::vector<uint8_t> Noise(size_t length) {
  check::Random random(length);
  return random.Bytes(length);
}

std::vector<uint8_t> RawMd5Of(const std::vector<uint8_t>& bytes, size_t from, size_t to) {
  basecow::Md5 state;
  std::vector<uint8_t> digest(basecow::kMd5Bytes);
  state.Update(bytes.data() + from, to - from);
  state.Final(digest.data());
  return digest;
}

std::string Md5Of(const std::vector<uint8_t>& bytes, size_t from, size_t to) {
  return check::Hex(RawMd5Of(bytes, from, to).data(), basecow::kMd5Bytes);
}

/// A guest of data in pieces, zeros and gaps, and its host file.
struct Guest {
  std::vector<uint8_t> bytes;
  std::vector<uint8_t> host;
  std::vector<Row> rows;
};

Guest MakeGuest(uint64_t seed) {
  check::Random random(seed);
  Guest guest;
  for (int i = 0; i < 60; i++) {
    const size_t length = 1 + random.Below(i % 5 == 0 ? 700000 : 30000);
    const uint64_t start = guest.bytes.size();
    if (random.Below(3) == 0) {
      if (random.Below(2) == 0) guest.rows.push_back(Empty(Kind::kZero, start, length));
      guest.bytes.resize(start + length);
    } else {
      const std::vector<uint8_t> data = random.Bytes(length);
      guest.host.resize(guest.host.size() + random.Below(9000));
      guest.rows.push_back(Data(start, length, guest.host.size()));
      guest.bytes.insert(guest.bytes.end(), data.begin(), data.end());
      guest.host.insert(guest.host.end(), data.begin(), data.end());
    }
  }
  return guest;
}

}  // namespace

TEST("digest: chunks with and without the whole, batches cut anywhere, any number of threads") {
  const Guest guest = MakeGuest(1);
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", guest.host);
  const uint64_t size = guest.bytes.size();
  for (const uint64_t chunk : {uint64_t{512}, uint64_t{1000}, uint64_t{65536}, uint64_t{131072},
                               uint64_t{1} << 20, size - 1, size, size + 1}) {
    std::vector<uint8_t> expected;
    for (uint64_t at = 0; at < size; at += chunk) {
      const std::vector<uint8_t> one = RawMd5Of(guest.bytes, at, std::min(at + chunk, size));
      expected.insert(expected.end(), one.begin(), one.end());
    }
    for (const bool whole : {false, true}) {
      for (const uint32_t threads : {1U, 2U, 8U}) {
        DigestOptions options;
        if (whole) options.algorithms = {"md5"};
        options.chunk_size = chunk;
        options.size = size;
        options.unit_algorithm = "md5";
        options.threads = threads;
        test::Run run(threads, test::MakeDigest(options));
        // Without the whole a batch may end anywhere, also in the middle of a chunk.
        const uint64_t step = whole ? 5 * kSegment : 333333;
        std::vector<uint8_t> digests(16 * ((size + chunk - 1) / chunk));
        for (uint64_t at = 0; at < size; at += step) {
          auto batch = test::MakeBatch(at, std::min(size, at + step), guest.rows, source.get());
          batch->digests = digests.data() + at / chunk * 16;
          batch->digests_length = digests.size() - at / chunk * 16;
          run.Submit(std::move(batch));
        }
        const auto totals = run.Finish();
        CHECK_OK(run.status());
        CHECK(digests == expected);
        CHECK_EQ(totals->digests.size(), whole ? 1U : 0U);
        if (whole) CHECK_EQ(check::Hex(totals->digests[0].bytes.data(), 16), Md5Of(guest.bytes, 0, size));
        CHECK_EQ(run.done(), static_cast<double>(size));
      }
    }
  }
}

TEST("digest: stretches, of which one that cannot be read leaves the others alone") {
  const Guest guest = MakeGuest(2);
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", guest.host);
  // The last bytes of the host file go; what needs them fails.
  const Row* last = nullptr;
  for (const Row& row : guest.rows) {
    if (row.kind == Kind::kData) last = &row;
  }
  CHECK(ftruncate(source.get(), static_cast<off_t>(last->offset)) == 0);
  check::Random random(3);
  std::vector<basecow::Range> ranges;
  for (uint64_t at = 0;;) {
    at += random.Below(20000);
    const uint64_t length = 1 + random.Below(ranges.size() % 4 == 0 ? 900000 : 5000);
    if (at + length > guest.bytes.size()) break;
    ranges.push_back({at, length});
    at += length;
  }
  while (ranges.back().start + ranges.back().length > last->start) ranges.pop_back();
  ranges.push_back({last->start, last->length / 2 + 1});
  if (last->end() < guest.bytes.size()) ranges.push_back({last->end(), guest.bytes.size() - last->end()});
  for (const bool keep_going : {true, false}) {
    DigestOptions options;
    options.ranges = true;
    options.unit_algorithm = "md5";
    options.keep_going = keep_going;
    options.threads = 3;
    test::Run run(3, test::MakeDigest(options));
    std::vector<uint8_t> digests(16 * ranges.size());
    auto batch = test::MakeBatch(0, guest.bytes.size(), guest.rows, source.get());
    batch->units = ranges;
    batch->digests = digests.data();
    batch->digests_length = digests.size();
    run.Submit(std::move(batch));
    run.Finish();
    if (!keep_going) {
      CHECK_EQ(std::string(run.status().code), basecow::kCodeShrank);
      continue;
    }
    CHECK_OK(run.status());
    std::vector<bool> failed(ranges.size());
    const std::vector<basecow::BatchResult> results = run.Results();
    for (const auto& failure : results[0].failures) {
      failed[failure.index] = true;
      CHECK_EQ(std::string(failure.status.code), basecow::kCodeShrank);
    }
    for (size_t i = 0; i < ranges.size(); i++) {
      const uint64_t end = ranges[i].start + ranges[i].length;
      CHECK_EQ(failed[i], ranges[i].start < last->end() && end > last->start);
      if (failed[i]) continue;
      CHECK_EQ(check::Hex(digests.data() + 16 * i, 16), Md5Of(guest.bytes, ranges[i].start, end));
    }
  }
}

TEST("digest: options and batches that make no sense are refused") {
  const auto refused = [](const DigestOptions& options) {
    std::unique_ptr<basecow::Sink> sink;
    return basecow::MakeDigestSink(options, &sink).err == EINVAL;
  };
  DigestOptions options;
  CHECK(refused(options));
  options.algorithms = {"crc32"};
  CHECK(refused(options));
  options.algorithms = {"md5"};
  options.ranges = true;
  options.unit_algorithm = "md5";
  CHECK(refused(options));

  const auto batch_refused = [](std::vector<basecow::Range> units, size_t room) {
    DigestOptions ranges;
    ranges.ranges = true;
    ranges.unit_algorithm = "md5";
    test::Run run(1, test::MakeDigest(ranges));
    std::vector<uint8_t> digests(room);
    auto batch = test::MakeBatch(0, 1000, {}, -1);
    batch->units = std::move(units);
    batch->digests = digests.data();
    batch->digests_length = digests.size();
    run.Submit(std::move(batch));
    run.Finish();
    return run.status().err == EINVAL;
  };
  CHECK(!batch_refused({{0, 10}, {10, 990}}, 32));
  CHECK(batch_refused({{0, 10}, {10, 990}}, 31));
  CHECK(batch_refused({{0, 10}, {9, 10}}, 32));
  CHECK(batch_refused({{0, 0}}, 32));
  CHECK(batch_refused({{1000, 1}}, 32));
  CHECK(batch_refused({{UINT64_MAX, 1}}, 32));
}

TEST("digest: a file that is truncated while its windows are read gives an error or its old digest") {
  const check::Folder folder;
  const std::vector<uint8_t> content = Noise(24 << 20);
  for (int round = 0; round < 12; round++) {
    const basecow::OwnedFd source = test::MakeFile(folder / "source", content);
    DigestOptions options;
    options.chunk_size = round % 2 == 0 ? 1 << 20 : 60000;
    options.size = content.size();
    options.unit_algorithm = "md5";
    options.threads = 2;
    test::Run run(2, test::MakeDigest(options));
    std::vector<uint8_t> digests(16 * ((content.size() + options.chunk_size - 1) / options.chunk_size));
    auto batch = test::MakeBatch(0, content.size(), {Data(0, content.size(), 0)}, source.get());
    batch->digests = digests.data();
    batch->digests_length = digests.size();
    run.Submit(std::move(batch));
    while (run.done() < 100000.0 * round) std::this_thread::yield();
    CHECK(ftruncate(source.get(), 1 << 20) == 0);
    run.Finish();
    if (run.status().ok()) {
      CHECK_EQ(
          check::Hex(digests.data() + digests.size() - 16, 16),
          Md5Of(content, (content.size() - 1) / options.chunk_size * options.chunk_size, content.size()));
    } else {
      CHECK_EQ(std::string(run.status().code), basecow::kCodeShrank);
      CHECK(run.status().message.find("'source' at host offset") != std::string::npos);
    }
  }
}

TEST("fault area: a page that is gone reads as zeros and is noted; others are not") {
  const check::Folder folder;
  const basecow::OwnedFd file = test::MakeFile(folder / "file", Noise(4 * kPage));
  FaultArea area;
  CHECK(area.Reserve(3, 4 * kPage));
  const uint8_t* first = area.Map(0, file.get(), 0, 4 * kPage);
  const uint8_t* second = area.Map(2, file.get(), kPage, 2 * kPage);
  CHECK(first != nullptr && second != nullptr);
  CHECK_EQ(int{first[kPage]}, int{second[0]});
  CHECK(area.Map(3, file.get(), 0, kPage) == nullptr);
  CHECK(area.Map(1, file.get(), 0, 5 * kPage) == nullptr);
  CHECK(ftruncate(file.get(), 2 * kPage) == 0);
  CHECK_EQ(int{*const_cast<const volatile uint8_t*>(first + 2 * kPage + 5)}, 0);
  CHECK(area.Faulted(0));
  CHECK(!area.Faulted(2));
  // Mapped anew, forgotten.
  CHECK(area.Map(0, file.get(), 0, kPage) != nullptr);
  CHECK(!area.Faulted(0));
  area.Clear();
}

TEST("fault area: many threads fault at once, areas come and go") {
  const check::Folder folder;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int n = 0; n < 6; n++) {
    threads.emplace_back([&, n] {
      const std::string path = folder / ("file" + std::to_string(n));
      for (int round = 0; round < 200; round++) {
        basecow::OwnedFd file(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600));
        if (ftruncate(file.get(), 8 * kPage) != 0) wrong++;
        FaultArea area;
        if (!area.Reserve(2, 8 * kPage)) continue;
        const volatile uint8_t* data = area.Map(1, file.get(), 0, 8 * kPage);
        if (data == nullptr || ftruncate(file.get(), kPage) != 0) wrong++;
        if (data[3 * kPage] != 0 || data[7 * kPage] != 0 || !area.Faulted(1) || area.Faulted(0)) wrong++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), 0);
}

TEST("fault area: a fault elsewhere ends the process as ever, or reaches the handler that was there") {
  const check::Folder folder;
  const basecow::OwnedFd file = test::MakeFile(folder / "file", Noise(4 * kPage));
  const auto child = [&](bool handler) {
    const pid_t pid = fork();
    if (pid != 0) {
      int status = 0;
      waitpid(pid, &status, 0);
      return status;
    }
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    if (handler) action.sa_handler = [](int) { _exit(42); };
    sigaction(SIGBUS, &action, nullptr);
    FaultArea area;
    area.Reserve(1, 4 * kPage);
    void* foreign = mmap(nullptr, 4 * kPage, PROT_READ, MAP_SHARED, file.get(), 0);
    if (ftruncate(file.get(), 0) != 0) _exit(1);
    (void)*(static_cast<const volatile uint8_t*>(foreign) + kPage);
    _exit(0);
  };
  const int killed = child(false);
  CHECK(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGBUS);
  CHECK(ftruncate(file.get(), 4 * kPage) == 0);
  const int handled = child(true);
  CHECK(WIFEXITED(handled) && WEXITSTATUS(handled) == 42);
}

TEST("fault area: the handler that was there comes back when the last area goes") {
  struct sigaction before {};
  sigaction(SIGBUS, nullptr, &before);
  {
    FaultArea first;
    FaultArea second;
    CHECK(first.Reserve(1, kPage) && second.Reserve(1, kPage));
    struct sigaction during {};
    sigaction(SIGBUS, nullptr, &during);
    CHECK(during.sa_sigaction != before.sa_sigaction);
  }
  struct sigaction after {};
  sigaction(SIGBUS, nullptr, &after);
  CHECK(after.sa_sigaction == before.sa_sigaction);
}
