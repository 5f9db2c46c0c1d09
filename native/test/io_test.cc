#include <algorithm>
#include <atomic>

#include "check.h"
#include "io/copy_file.h"
#include "io/data_runs.h"
#include "io/extend.h"
#include "io/file_io.h"
#include "io/publish.h"
#include "io/thread.h"
#include "io/write_pieces.h"
#include "transfer/control.h"

using basecow::Control;
using basecow::CopyFile;
using basecow::CopyFileOptions;
using basecow::CopyFileResult;
using basecow::CopyMethod;
using basecow::OwnedFd;
using basecow::PublishRequest;
using basecow::Reflink;
using basecow::Status;

namespace {

OwnedFd Make(const std::string& path) {
  return OwnedFd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600));
}

void Put(const OwnedFd& fd, uint64_t offset, const std::vector<uint8_t>& bytes) {
  CHECK_OK(basecow::WriteFull(fd.get(), "f", bytes.data(), bytes.size(), offset));
}

std::vector<uint8_t> Content(int fd) {
  struct stat stat {};
  fstat(fd, &stat);
  std::vector<uint8_t> bytes(static_cast<size_t>(stat.st_size));
  size_t got = 0;
  CHECK_OK(basecow::ReadFull(fd, "f", bytes.data(), bytes.size(), 0, &got));
  CHECK_EQ(got, bytes.size());
  return bytes;
}

int64_t Blocks(int fd) {
  struct stat stat {};
  fstat(fd, &stat);
  return stat.st_blocks;
}

/// A file of `size` bytes with data at some places and data that is zero at others.
OwnedFd Patchwork(const std::string& path, uint64_t seed, size_t size) {
  check::Random random(seed);
  OwnedFd fd = Make(path);
  CHECK_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  for (int i = 0; i < 12; ++i) {
    const size_t at = random.Below(size / 4096) * 4096;
    const size_t length = std::min(size - at, 1 + random.Below(200000));
    Put(fd, at, i % 3 == 0 ? std::vector<uint8_t>(length, 0) : random.Bytes(length));
  }
  return fd;
}

}  // namespace

TEST("ReadFull stops at the end of the file and says where it failed") {
  const check::Folder folder;
  const OwnedFd fd = Make(folder / "a");
  Put(fd, 0, std::vector<uint8_t>(1000, 7));
  uint8_t buffer[2000];
  size_t got = 0;
  CHECK_OK(basecow::ReadFull(fd.get(), "a", buffer, sizeof(buffer), 500, &got));
  CHECK_EQ(got, 500U);
  const Status status = basecow::ReadFull(-1, "the file", buffer, 10, 77, &got);
  CHECK_EQ(status.err, EBADF);
  CHECK_EQ(status.message, "EBADF: Bad file descriptor, read 'the file': at byte 77");
}

TEST("data runs: holes, the end, a limit on their number") {
  const check::Folder folder;
  const OwnedFd fd = Make(folder / "a");
  CHECK_EQ(ftruncate(fd.get(), 16 << 20), 0);
  Put(fd, 1 << 20, std::vector<uint8_t>(65536, 1));
  Put(fd, 4 << 20, std::vector<uint8_t>(65536, 1));
  std::vector<basecow::DataRun> runs;
  uint64_t next = 0;
  CHECK_OK(basecow::DataRuns(fd.get(), "a", 0, 32 << 20, 10, &runs, &next));
  CHECK_EQ(runs.size(), 2U);
  CHECK_EQ(runs[0].start, 1U << 20);
  CHECK_EQ(runs[0].end, (1U << 20) + 65536);
  CHECK_EQ(runs[1].start, 4U << 20);
  CHECK_EQ(next, 32U << 20);

  runs.clear();
  CHECK_OK(basecow::DataRuns(fd.get(), "a", 0, 32 << 20, 1, &runs, &next));
  CHECK_EQ(runs.size(), 1U);
  CHECK_EQ(next, (1U << 20) + 65536);

  runs.clear();
  CHECK_OK(basecow::DataRuns(fd.get(), "a", (1 << 20) + 4096, (1 << 20) + 8192, 10, &runs, &next));
  CHECK_EQ(runs.size(), 1U);
  CHECK_EQ(runs[0].start, (1U << 20) + 4096);
  CHECK_EQ(runs[0].end, (1U << 20) + 8192);
}

TEST("extend: off keeps it sparse, falloc reserves, full writes; never smaller") {
  const check::Folder folder;
  using basecow::Extend;
  using basecow::Preallocation;
  const OwnedFd fd = Make(folder / "a");
  CHECK_OK(Extend(fd.get(), "a", 0, 1 << 20, Preallocation::kOff, {}));
  CHECK_EQ(Content(fd.get()).size(), 1U << 20);
  CHECK_EQ(Blocks(fd.get()), 0);
  CHECK_OK(Extend(fd.get(), "a", 0, 1 << 10, Preallocation::kOff, {}));
  CHECK_EQ(Content(fd.get()).size(), 1U << 20);
  CHECK_OK(Extend(fd.get(), "a", 1 << 20, 2 << 20, Preallocation::kFalloc, {}));
  CHECK(Blocks(fd.get()) >= 2048);
  CHECK(Blocks(fd.get()) < 4096);
  alignas(8) uint8_t memory[64] = {};
  CHECK_OK(Extend(fd.get(), "a", 2 << 20, 5 << 20, Preallocation::kFull, Control(memory, nullptr)));
  CHECK_EQ(*reinterpret_cast<double*>(memory), 3.0 * (1 << 20));
  const std::vector<uint8_t> bytes = Content(fd.get());
  CHECK(std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; }));

  memory[16] = 1;
  const Status status =
      Extend(fd.get(), "a", 5 << 20, 50 << 20, Preallocation::kFull, Control(memory, nullptr));
  CHECK_EQ(status.err, ECANCELED);
  CHECK_EQ(Content(fd.get()).size(), 5U << 20);
}

TEST("ZeroRange and PunchHole") {
  const check::Folder folder;
  const OwnedFd fd = Make(folder / "a");
  Put(fd, 0, std::vector<uint8_t>(1 << 20, 9));
  uint64_t written = 0;
  CHECK_OK(basecow::ZeroRange(fd.get(), "a", 5000, 500000, {}, &written));
  const std::vector<uint8_t> bytes = Content(fd.get());
  CHECK_EQ(bytes.size(), 1U << 20);
  CHECK_EQ(bytes[4999], 9);
  CHECK_EQ(bytes[5000], 0);
  CHECK_EQ(bytes[504999], 0);
  CHECK_EQ(bytes[505000], 9);
}

TEST("ZeroRange: a cancel leaves the rest as it is") {
  const check::Folder folder;
  const OwnedFd fd = Make(folder / "a");
  Put(fd, 0, std::vector<uint8_t>(1 << 20, 9));
  alignas(8) uint8_t memory[64] = {};
  memory[16] = 1;
  uint64_t written = 0;
  const Status status = basecow::ZeroRange(fd.get(), "a", 0, 1 << 20, Control(memory, nullptr), &written);
  CHECK_EQ(status.err, ECANCELED);
  CHECK_EQ(written, 0U);
  CHECK(Content(fd.get()) == std::vector<uint8_t>(1 << 20, 9));
}

TEST("copy: every way gives the same bytes") {
  const check::Folder folder;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    // Sizes that end inside a block too.
    const OwnedFd source = Patchwork(folder / "source", seed, 3000000 + seed * 777);
    const std::vector<uint8_t> expected = Content(source.get());
    for (const size_t detect : {size_t{0}, size_t{512}, size_t{4096}, size_t{65536}, size_t{2} << 20}) {
      for (const bool fresh : {true, false}) {
        OwnedFd target = Make(folder / "target");
        if (!fresh) Put(target, 0, std::vector<uint8_t>(4 << 20, 0xee));
        CopyFileOptions options;
        options.reflink = Reflink::kNever;
        options.detect_zeros = detect;
        options.threads = seed % 3 + 1;
        options.target_is_zero = fresh;
        if (seed % 2 == 0) options.size = 5 << 20;
        CopyFileResult result;
        alignas(8) uint8_t memory[64] = {};
        CHECK_OK(
            CopyFile({source.get(), "s"}, {target.get(), "t"}, options, Control(memory, nullptr), &result));
        CHECK_EQ(reinterpret_cast<double*>(memory)[0], static_cast<double>(expected.size()));
        CHECK_EQ(reinterpret_cast<double*>(memory)[1], static_cast<double>(expected.size()));
        CHECK(detect == 0 || result.method == CopyMethod::kReadWrite);
        std::vector<uint8_t> wanted = expected;
        if (seed % 2 == 0) wanted.resize(5 << 20);
        CHECK(Content(target.get()) == wanted);
        if (detect == 0 && fresh) CHECK(Blocks(target.get()) <= Blocks(source.get()) + 16);
        if (detect == 4096) CHECK(Blocks(target.get()) < Blocks(source.get()));
      }
    }
  }
}

TEST("copy: short zero runs stay data, long ones become holes") {
  const check::Folder folder;
  const OwnedFd source = Make(folder / "source");
  std::vector<uint8_t> bytes(256 << 10, 5);
  std::fill_n(bytes.begin() + (16 << 10), 32 << 10, 0);
  std::fill_n(bytes.begin() + (100 << 10), 64 << 10, 0);
  Put(source, 0, bytes);
  const OwnedFd target = Make(folder / "target");
  CopyFileOptions options;
  options.detect_zeros = 64 << 10;
  options.target_is_zero = true;
  CopyFileResult result;
  CHECK_OK(CopyFile({source.get(), "s"}, {target.get(), "t"}, options, {}, &result));
  CHECK_EQ(result.copied, (256U - 64U) << 10);
  CHECK(Content(target.get()) == bytes);
}

TEST("copy: what cannot be is refused with the target as it was") {
  const check::Folder folder;
  const OwnedFd source = Patchwork(folder / "source", 5, 1 << 20);
  const OwnedFd target = Make(folder / "target");
  Put(target, 0, std::vector<uint8_t>(100, 3));
  CopyFileResult result;
  CopyFileOptions options;
  options.size = 1000;
  Status status = CopyFile({source.get(), "s"}, {target.get(), "t"}, options, {}, &result);
  CHECK_EQ(status.err, EINVAL);
  CHECK(status.message.find("1000 bytes is below the source's 1048576 bytes") != std::string::npos);
  CHECK_EQ(Content(target.get()).size(), 100U);

  status = CopyFile({source.get(), "s"}, {source.get(), "s"}, {}, {}, &result);
  CHECK_EQ(status.err, EINVAL);

  const OwnedFd directory(open("/", O_RDONLY | O_DIRECTORY));
  status = CopyFile({directory.get(), "/"}, {target.get(), "t"}, {}, {}, &result);
  CHECK_EQ(status.err, EINVAL);

  alignas(8) uint8_t memory[64] = {};
  memory[16] = 1;
  status = CopyFile({source.get(), "s"}, {target.get(), "t"}, {}, Control(memory, nullptr), &result);
  CHECK_EQ(status.err, ECANCELED);
  CHECK_EQ(Content(target.get()).size(), 100U);
}

TEST("copy: a source that shrinks meanwhile is found out") {
  const check::Folder folder;
  for (const size_t detect : {0, 4096}) {
    const OwnedFd source = Make(folder / "source");
    const OwnedFd target = Make(folder / "target");
    Put(source, 0, std::vector<uint8_t>(64 << 20, 1));
    alignas(8) uint8_t memory[64] = {};
    std::atomic_ref<double> done(*reinterpret_cast<double*>(memory));
    basecow::Thread cutter;
    CHECK_OK(cutter.Start("cutter", [&] {
      while (done.load() == 0) sched_yield();
      if (ftruncate(source.get(), 4096) != 0) abort();
    }));
    CopyFileOptions options;
    options.reflink = Reflink::kNever;
    options.detect_zeros = detect;
    CopyFileResult result;
    const Status status =
        CopyFile({source.get(), "source"}, {target.get(), "t"}, options, Control(memory, nullptr), &result);
    cutter.Join();
    CHECK_EQ(std::string(status.code == nullptr ? "none" : status.code), basecow::kCodeShrank);
    CHECK(status.message.find("are left of 67108864 bytes") != std::string::npos);
  }
}

TEST("pieces: adjacent and scattered, in one file") {
  const check::Folder folder;
  const OwnedFd fd = Make(folder / "a");
  check::Random random(9);
  const std::vector<uint8_t> bytes = random.Bytes(100000);
  std::vector<basecow::Piece> pieces;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = std::min<size_t>(bytes.size() - at, 1 + random.Below(200));
    // Every tenth run starts behind a gap.
    const uint64_t gap = at / 10000 * 5000;
    pieces.push_back({at + gap, bytes.data() + at, length});
    at += length;
  }
  CHECK_OK(basecow::WritePieces(fd.get(), "a", pieces));
  const std::vector<uint8_t> content = Content(fd.get());
  for (const basecow::Piece& piece : pieces) {
    CHECK(memcmp(content.data() + piece.offset, piece.data, piece.length) == 0);
  }
}

TEST("publish: whole files, taken names, replacing, nothing left after errors") {
  const check::Folder folder;
  const std::vector<uint8_t> bytes(700, 0xab);
  for (const bool group : {false, true}) {
    std::vector<PublishRequest> requests;
    for (int i = 0; i < 40; ++i) {
      PublishRequest request;
      request.path = folder / ("f" + std::to_string(i));
      request.mode = 0640;
      request.length = 200000;
      request.pieces = {{0, bytes.data(), 700}, {700, bytes.data(), 300}, {65536, bytes.data(), 4}};
      request.sync = i % 7 == 0;
      requests.push_back(request);
    }
    requests[3].path = folder / "missing/f3";
    requests[4].path = folder / std::string(256, 'x');
    std::vector<Status> outcomes;
    basecow::PublishFiles(requests, group, {}, &outcomes);
    CHECK_EQ(outcomes[3].err, ENOENT);
    CHECK_EQ(outcomes[4].err, ENAMETOOLONG);
    CHECK(outcomes[3].message.find("missing/f3") != std::string::npos);
    for (const size_t i : {0, 1, 2, 5, 39}) CHECK_OK(outcomes[i]);
    CHECK_EQ(folder.Names().size(), 38U);

    // Again: the names are taken.
    basecow::PublishFiles(requests, group, {}, &outcomes);
    CHECK_EQ(outcomes[0].err, EEXIST);
    CHECK_EQ(folder.Names().size(), 38U);

    for (PublishRequest& request : requests) {
      request.replace = true;
      request.length = 100000;
    }
    basecow::PublishFiles(requests, group, {}, &outcomes);
    CHECK_OK(outcomes[0]);
    CHECK_EQ(folder.Names().size(), 38U);
    const OwnedFd fd(open((folder / "f0").c_str(), O_RDWR));
    std::vector<uint8_t> expected(100000, 0);
    std::fill_n(expected.begin(), 1000, 0xab);
    std::fill_n(expected.begin() + 65536, 4, 0xab);
    CHECK(Content(fd.get()) == expected);
    for (const std::string& name : folder.Names()) unlink((folder / name).c_str());
  }
}

TEST("publish: a folder cannot be replaced, and its draft goes") {
  const check::Folder folder;
  const std::string name = folder / "taken";
  CHECK_EQ(mkdir(name.c_str(), 0700), 0);
  PublishRequest request;
  request.path = name;
  request.replace = true;
  std::vector<Status> outcomes;
  basecow::PublishFiles({request}, false, {}, &outcomes);
  CHECK(outcomes[0].err == EISDIR || outcomes[0].err == ENOTEMPTY || outcomes[0].err == EEXIST);
  CHECK_EQ(folder.Names().size(), 1U);
  rmdir(name.c_str());
}

TEST("publish: nothing is named after a cancel") {
  const check::Folder folder;
  PublishRequest request;
  request.path = folder / "a";
  request.length = 10;
  const std::atomic<bool> abort{true};
  for (const bool group : {false, true}) {
    std::vector<Status> outcomes;
    basecow::PublishFiles({request}, group, Control(nullptr, &abort), &outcomes);
    CHECK_EQ(outcomes[0].err, ECANCELED);
    CHECK_EQ(folder.Names().size(), 0U);
  }
}

TEST("errno names") {
  CHECK_EQ(basecow::ErrnoName(ENOSPC), "ENOSPC");
  CHECK_EQ(basecow::ErrnoName(99999), "E99999");
  CHECK_EQ(Status::System(ENOSPC, "write", "p").message, "ENOSPC: No space left on device, write 'p'");
}
