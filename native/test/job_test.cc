#include <sys/resource.h>

#include <csignal>
#include <thread>

#include "support.h"
#include "transfer/pack_sink.h"
#include "transfer/raw_sink.h"
#include "transfer/read_sink.h"

using basecow::Batch;
using basecow::Kind;
using basecow::RawOptions;
using basecow::RawSink;
using basecow::ReadSink;
using basecow::Row;
using basecow::Sink;
using basecow::Status;
using basecow::Task;
using test::Data;
using test::Empty;
using test::kSegment;

namespace {

/// Each task waits until `gate` is open or the job is stopped.
class GateSink : public Sink {
 public:
  explicit GateSink(std::atomic<bool>* gate, std::atomic<int>* entered) : gate_(gate), entered_(entered) {}
  [[nodiscard]] bool Skips(const Row* row) const override { return row == nullptr; }
  Status Check(const Batch& /*batch*/) override { return Status::Ok(); }
  Status Process(basecow::Worker& /*worker*/, Task& task) override {
    entered_->fetch_add(1);
    while (!gate_->load() && !stopped_.load()) std::this_thread::yield();
    task.written = task.end - task.start;
    return Status::Ok();
  }
  void Stop() override { stopped_.store(true); }

 private:
  std::atomic<bool>* gate_;
  std::atomic<int>* entered_;
  std::atomic<bool> stopped_{false};
};

std::vector<uint8_t> Noise(size_t length) {
  check::Random random(length);
  return random.Bytes(length);
}

}  // namespace

TEST("job: nothing submitted") {
  test::Run run(4, std::make_unique<RawSink>(RawOptions{}));
  CHECK_EQ(run.Finish()->written, 0U);
  CHECK_OK(run.status());
}

TEST("job: empty 64 TiB is done at once, in many batches or one") {
  test::Run run(4, std::make_unique<RawSink>(RawOptions{}));
  const uint64_t size = uint64_t{64} << 40;
  const std::vector<Row> rows = {Empty(Kind::kUnallocated, 0, size)};
  for (uint64_t i = 0; i < 16; i++) run.Submit(test::MakeBatch(i * size / 16, (i + 1) * size / 16, rows, -1));
  run.Finish();
  CHECK_OK(run.status());
  CHECK_EQ(run.done(), static_cast<double>(size));
  CHECK_EQ(run.Results().size(), 16U);
}

TEST("job: a closed descriptor fails the batch, all later ones and the end, with the first error") {
  std::vector<uint8_t> out(4 * kSegment);
  test::Run run(2, std::make_unique<ReadSink>(out.data(), out.size(), 0));
  run.Submit(test::MakeBatch(0, kSegment, {Data(0, kSegment, 777)}, 1 << 20));
  const Status& first = run.Answered(0);
  CHECK_EQ(first.err, EBADF);
  CHECK_EQ(std::string(first.syscall), "read");
  CHECK_EQ(first.path, "source");
  CHECK_EQ(first.message, "error while reading at byte 0: Bad file descriptor ('source' at host offset 777)");
  run.Submit(test::MakeBatch(kSegment, 2 * kSegment, {Data(0, 4 * kSegment, 0)}, 1 << 20));
  CHECK_EQ(run.Answered(1).message, first.message);
  run.Finish();
  CHECK_EQ(run.status().message, first.message);
}

TEST("job: a write error names both sides") {
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", Noise(4 * kSegment));
  const basecow::OwnedFd full(open("/dev/full", O_WRONLY));
  RawOptions options;
  options.fd = full.get();
  options.path = "full";
  options.shift = 4096;
  test::Run run(1, std::make_unique<RawSink>(options));
  run.Submit(test::MakeBatch(0, 4 * kSegment, {Data(0, 4 * kSegment, 0)}, source.get()));
  run.Finish();
  CHECK_EQ(run.status().err, ENOSPC);
  CHECK_EQ(run.status().path, "full");
  CHECK_EQ(run.status().message,
           "error while writing at byte 0: No space left on device ('full' at host offset 4096)");
}

TEST("job: a source that ends early is SHRANK, zeros, or salvaged") {
  const check::Folder folder;
  const std::vector<uint8_t> content = Noise(kSegment + 5000);
  const basecow::OwnedFd source = test::MakeFile(folder / "source", content);
  const auto read = [&](const basecow::ReadOptions& options, std::vector<basecow::Range>* unreadable) {
    std::vector<uint8_t> out(2 * kSegment, 0x33);
    test::Run run(2, std::make_unique<ReadSink>(out.data(), out.size(), 0), options);
    run.Submit(test::MakeBatch(0, 2 * kSegment, {Data(0, 2 * kSegment, 0)}, source.get()));
    run.Finish();
    if (!run.status().ok()) return std::make_pair(run.status(), std::vector<uint8_t>());
    *unreadable = run.Results()[0].unreadable;
    return std::make_pair(Status::Ok(), out);
  };
  std::vector<uint8_t> expected = content;
  expected.resize(2 * kSegment);
  std::vector<basecow::Range> unreadable;

  const Status shrank = read({}, &unreadable).first;
  CHECK_EQ(std::string(shrank.code), basecow::kCodeShrank);
  CHECK(shrank.message.find("at byte " + std::to_string(kSegment + 5000)) != std::string::npos);

  CHECK(read({.short_reads_zero = true}, &unreadable).second == expected);
  CHECK(unreadable.empty());

  // Salvage works in sectors: the one that the file ends in is lost as a whole.
  std::fill(expected.begin() + kSegment + 4608, expected.end(), 0);
  CHECK(read({.salvage = true}, &unreadable).second == expected);
  CHECK_EQ(unreadable.size(), 1U);
  CHECK_EQ(unreadable[0].start, kSegment + 4608);
  CHECK_EQ(unreadable[0].length, kSegment - 4608);
}

TEST("job: a unit that cannot be decoded is CORRUPT, or salvaged") {
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", std::vector<uint8_t>(8192, 0xff));
  for (const Kind kind : {Kind::kDeflate, Kind::kZstd}) {
    const Row row = {65536, 4096, 1000, 300, 0, 4096, 0, kind};
    std::vector<uint8_t> out(4096, 1);
    test::Run strict(1, std::make_unique<ReadSink>(out.data(), out.size(), 65536));
    strict.Submit(test::MakeBatch(65536, 65536 + 4096, {row}, source.get()));
    strict.Finish();
    CHECK_EQ(std::string(strict.status().code), basecow::kCodeCorrupt);
    CHECK(strict.status().message.find("at byte 65536") != std::string::npos);
    CHECK(strict.status().message.find("('source' at host offset 1000)") != std::string::npos);

    test::Run salvage(1, std::make_unique<ReadSink>(out.data(), out.size(), 65536), {.salvage = true});
    salvage.Submit(test::MakeBatch(65536, 65536 + 4096, {row}, source.get()));
    salvage.Finish();
    CHECK_OK(salvage.status());
    CHECK(out == std::vector<uint8_t>(4096));
    const basecow::BatchResult result = salvage.Results()[0];
    CHECK_EQ(result.unreadable.size(), 1U);
    CHECK_EQ(result.unreadable_reason, strict.status().message);
  }
}

TEST("job: cancel through the control block") {
  std::atomic<bool> gate{false};
  std::atomic<int> entered{0};
  test::Run run(3, std::make_unique<GateSink>(&gate, &entered));
  run.Submit(test::MakeBatch(0, 100 * kSegment, {Data(0, 100 * kSegment, 0)}, -1));
  while (entered.load() < 3) std::this_thread::yield();
  run.Cancel();
  gate.store(true);
  run.Finish();
  CHECK_EQ(run.status().err, ECANCELED);
  CHECK(entered.load() < 100);
  CHECK_EQ(run.Answered(0).err, ECANCELED);
}

TEST("job: cancelled before the end with nothing under way") {
  test::Run run(1, std::make_unique<RawSink>(RawOptions{}));
  run.Cancel();
  run.Finish();
  CHECK_EQ(run.status().err, ECANCELED);
}

TEST("job: abort settles everything, also what was not begun") {
  std::atomic<bool> gate{false};
  std::atomic<int> entered{0};
  test::Run run(2, std::make_unique<GateSink>(&gate, &entered));
  for (uint64_t i = 0; i < 20; i++) {
    run.Submit(test::MakeBatch(i * kSegment, (i + 1) * kSegment, {Data(0, 20 * kSegment, 0)}, -1));
  }
  while (entered.load() < 2) std::this_thread::yield();
  run.Abort();
  for (size_t i = 0; i < 20; i++) CHECK_EQ(run.Answered(i).err, ECANCELED);
  run.Submit(test::MakeBatch(20 * kSegment, 21 * kSegment, {}, -1));
  CHECK_EQ(run.Answered(20).err, ECANCELED);
  run.Abort();
}

TEST("job: threads that wait for their turn are let go when another one fails") {
  const check::Folder folder;
  // The first segment is there, the rest is not: later tickets wait for one that fails.
  const basecow::OwnedFd source = test::MakeFile(folder / "source", Noise(2 * kSegment));
  for (int round = 0; round < 30; round++) {
    basecow::DigestOptions options;
    options.algorithms = {"md5", "md5"};
    test::Run run(8, test::MakeDigest(options));
    run.Submit(test::MakeBatch(0, 30 * kSegment,
                               {Data(0, 2 * kSegment, 0), Data(2 * kSegment, kSegment, 1 << 30),
                                Empty(Kind::kZero, 3 * kSegment, 27 * kSegment)},
                               source.get()));
    run.Finish();
    CHECK_EQ(std::string(run.status().code), basecow::kCodeShrank);
  }
}

TEST("job: batches out of order, with gaps where there may be none, or outside the buffer are refused") {
  std::vector<uint8_t> out(kSegment);
  const auto refused = [](std::unique_ptr<Sink> sink, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    test::Run run(1, std::move(sink));
    run.Submit(test::MakeBatch(a, b, {}, -1));
    run.Submit(test::MakeBatch(c, d, {}, -1));
    run.Finish();
    return run.Answered(1).err == EINVAL && run.status().err == EINVAL;
  };
  CHECK(refused(std::make_unique<RawSink>(RawOptions{}), 0, 8192, 4096, 8192));
  CHECK(refused(std::make_unique<RawSink>(RawOptions{}), 0, 8192, 9000, 8192));
  const auto digest = [] {
    basecow::DigestOptions options;
    options.algorithms = {"md5"};
    return test::MakeDigest(options);
  };
  CHECK(refused(digest(), 0, kSegment, 2 * kSegment, 3 * kSegment));
  CHECK(refused(digest(), 0, 1000, 1000, kSegment));
  CHECK(refused(std::make_unique<ReadSink>(out.data(), out.size(), 0), 0, 100, 100, kSegment + 1));
}

TEST("job: many small batches from many jobs at once") {
  const check::Folder folder;
  const std::vector<uint8_t> content = Noise(40 * 4096);
  const basecow::OwnedFd source = test::MakeFile(folder / "source", content);
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 6; t++) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; round++) {
        std::vector<uint8_t> out(content.size());
        test::Run run(3, std::make_unique<ReadSink>(out.data(), out.size(), 0));
        for (uint64_t at = 0; at < content.size(); at += 4096) {
          run.Submit(test::MakeBatch(at, at + 4096, {Data(0, content.size(), 0)}, source.get()));
        }
        run.Finish();
        if (run.status().ok() && out == content) good++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(good.load(), 120);
}
