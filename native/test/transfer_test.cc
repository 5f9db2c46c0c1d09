#include <zlib.h>

#include "hash/md5.h"
#include "support.h"
#include "transfer/compare_sink.h"
#include "transfer/plan.h"
#include "transfer/raw_sink.h"
#include "transfer/read_sink.h"

using basecow::Kind;
using basecow::RawOptions;
using basecow::RawSink;
using basecow::Row;
using basecow::Source;
using basecow::ZeroPolicy;
using test::Data;
using test::Empty;
using test::kSegment;

namespace {

constexpr uint32_t kUnit = 4096;

bool Refused(const Row& row, const Row* before = nullptr) {
  Source source;
  source.files.push_back({0, "f"});
  if (before != nullptr) source.rows.push_back(*before);
  source.rows.push_back(row);
  return ValidateSource(source).err == EINVAL;
}

Row Compressed(uint64_t start, uint64_t length, uint64_t offset, uint32_t size, uint32_t skip,
               uint32_t unit) {
  return {start, length, offset, size, skip, unit, 0, Kind::kDeflate};
}

std::vector<uint8_t> Deflated(const uint8_t* data, size_t length) {
  z_stream stream{};
  CHECK_EQ(deflateInit2(&stream, 6, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<uint8_t> out(deflateBound(&stream, length));
  stream.next_in = const_cast<Bytef*>(data);
  stream.avail_in = static_cast<uInt>(length);
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// A guest of `units` units of all kinds in a host file, in an order that is not the guest's.
struct Image {
  std::vector<uint8_t> guest;
  std::vector<uint8_t> host;
  std::vector<Row> rows;
};

Image MakeImage(uint64_t seed, uint64_t units) {
  check::Random random(seed);
  Image image;
  image.guest.resize(units * kUnit);
  image.rows.resize(units);
  image.host = random.Bytes(512);
  for (uint64_t i = 0; i < units; i++) {
    const uint64_t unit = i % 2 == 0 ? i : units - 1 - (units % 2 == 0 ? i - 1 : i);
    const uint64_t start = unit * kUnit;
    uint8_t* const bytes = image.guest.data() + start;
    const uint64_t what = random.Below(4);
    if (what == 0) {
      image.rows[unit] = Empty(random.Below(2) == 0 ? Kind::kZero : Kind::kUnallocated, start, kUnit);
      continue;
    }
    const std::vector<uint8_t> noise = random.Bytes(kUnit / 4);
    for (size_t k = 0; k < 4; k++) {
      if (random.Below(3) != 0) std::copy(noise.begin(), noise.end(), bytes + k * noise.size());
    }
    if (what == 1) {
      const std::vector<uint8_t> packed = Deflated(bytes, kUnit);
      image.rows[unit] =
          Compressed(start, kUnit, image.host.size(), static_cast<uint32_t>(packed.size()), 0, kUnit);
      image.host.insert(image.host.end(), packed.begin(), packed.end());
    } else {
      image.rows[unit] = Data(start, kUnit, image.host.size());
      image.host.insert(image.host.end(), bytes, bytes + kUnit);
    }
  }
  return image;
}

std::vector<uint8_t> ReadAll(const Image& image, int fd, uint32_t threads, uint64_t from, uint64_t to,
                             const std::vector<Row>& rows) {
  std::vector<uint8_t> out(to - from, 0x5c);
  test::Run run(threads, std::make_unique<basecow::ReadSink>(out.data(), out.size(), from));
  run.Submit(test::MakeBatch(from, to, rows, fd));
  run.Finish();
  CHECK_OK(run.status());
  CHECK_EQ(run.done(), static_cast<double>(to - from));
  (void)image;
  return out;
}

struct Target {
  std::vector<uint8_t> bytes;
  uint64_t written = 0;
  uint64_t allocated = 0;
};

Target Copy(const Image& image, RawOptions options, uint32_t threads, const std::vector<uint8_t>& before) {
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", image.host);
  const basecow::OwnedFd target = test::MakeFile(folder / "target", before);
  CHECK_EQ(ftruncate(target.get(), static_cast<off_t>(image.guest.size() + options.shift)), 0);
  options.fd = target.get();
  options.path = "target";
  test::Run run(threads, std::make_unique<RawSink>(options));
  const uint64_t half = image.guest.size() / 2 / kSegment * kSegment;
  run.Submit(test::MakeBatch(0, half, image.rows, source.get()));
  run.Submit(test::MakeBatch(half, image.guest.size(), image.rows, source.get()));
  const auto totals = run.Finish();
  CHECK_OK(run.status());
  CHECK_EQ(run.done(), static_cast<double>(image.guest.size()));
  struct stat info {};
  fstat(target.get(), &info);
  return {test::Content(target.get()), totals->written, static_cast<uint64_t>(info.st_blocks) * 512};
}

}  // namespace

TEST("plan: hostile rows are refused") {
  CHECK(!Refused(Data(0, 4096, 0)));
  CHECK(Refused(Data(UINT64_MAX, 4096, 0)));
  CHECK(Refused(Data(0, UINT64_MAX, 0)));
  CHECK(Refused(Data(basecow::kMaxOffset - 10, 11, 0)));
  CHECK(Refused(Data(0, 4096, UINT64_MAX)));
  CHECK(Refused(Data(0, 4096, basecow::kMaxOffset)));
  CHECK(Refused(Data(0, 4096, 0, 1)));
  const Row before = Data(0, 4096, 0);
  CHECK(Refused(Data(4095, 1, 0), &before));
  CHECK(!Refused(Data(4096, 1, 0), &before));
  CHECK(Refused(Empty(static_cast<Kind>(5), 0, 1)));
  CHECK(!Refused(Compressed(0, 4096, 0, 100, 0, 4096)));
  CHECK(Refused(Compressed(0, 4096, 0, 100, 1, 4096)));
  CHECK(Refused(Compressed(0, 4096, 0, 100, UINT32_MAX, 4096)));
  CHECK(Refused(Compressed(0, 0, 0, 100, 0, 0)));
  CHECK(Refused(Compressed(0, 4096, 0, 100, 0, basecow::kMaxUnit + 1)));
  CHECK(Refused(Compressed(0, 4096, 0, UINT32_MAX, 0, 4096)));
}

TEST("batch: only segments with work are cut, at multiples of the segment") {
  const RawSink sink{RawOptions{}};
  basecow::Batch batch;
  batch.start = 0;
  batch.end = uint64_t{64} << 40;
  const uint64_t far = (uint64_t{40} << 40) + 5000;
  batch.source.rows = {Empty(Kind::kZero, 0, far), Data(far, 3 * kSegment, 0),
                       Empty(Kind::kUnallocated, far + 3 * kSegment, batch.end - far - 3 * kSegment)};
  uint64_t skipped = 0;
  uint64_t visited = 0;
  basecow::Task task;
  int tasks = 0;
  while (batch.Next(sink, kSegment, &task, &skipped)) {
    CHECK_EQ(task.start % kSegment, 0U);
    CHECK_EQ(task.end, task.start + kSegment);
    visited += task.end - task.start;
    tasks++;
    task = {};
  }
  CHECK_EQ(tasks, 4);
  CHECK_EQ(skipped + visited, batch.end);
  CHECK(batch.cut());
}

TEST("read: all kinds of rows, any range, any number of threads") {
  const Image image = MakeImage(31, 201);
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", image.host);
  CHECK(ReadAll(image, source.get(), 1, 0, image.guest.size(), image.rows) == image.guest);
  CHECK(ReadAll(image, source.get(), 4, 0, image.guest.size(), image.rows) == image.guest);
  check::Random random(32);
  for (int round = 0; round < 50; round++) {
    const uint64_t from = random.Below(image.guest.size());
    const uint64_t to = from + 1 + random.Below(image.guest.size() - from);
    const std::vector<uint8_t> expected(image.guest.begin() + static_cast<ptrdiff_t>(from),
                                        image.guest.begin() + static_cast<ptrdiff_t>(to));
    CHECK(ReadAll(image, source.get(), 3, from, to, image.rows) == expected);
  }
}

TEST("read: parts of a unit, and gaps between rows, which are zeros") {
  const Image image = MakeImage(33, 64);
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", image.host);
  std::vector<Row> rows;
  std::vector<uint8_t> expected(image.guest.size());
  check::Random random(34);
  for (const Row& row : image.rows) {
    for (uint32_t at = 0; at < kUnit;) {
      const auto length = static_cast<uint32_t>(std::min<uint64_t>(kUnit - at, 1 + random.Below(2000)));
      if (random.Below(4) != 0) {
        Row part = row;
        part.start += at;
        part.length = length;
        if (row.kind == Kind::kData) part.offset += at;
        if (row.kind == Kind::kDeflate) part.skip = at;
        rows.push_back(part);
        std::copy_n(image.guest.begin() + static_cast<ptrdiff_t>(part.start), length,
                    expected.begin() + static_cast<ptrdiff_t>(part.start));
      }
      at += length;
    }
  }
  CHECK(ReadAll(image, source.get(), 2, 0, image.guest.size(), rows) == expected);
}

TEST("raw: with and without zero detection, offload, shift and threads") {
  const Image image = MakeImage(35, 333);
  for (const uint32_t threads : {1U, 4U}) {
    for (const uint64_t detect : {0, 512, 1536, 4096, 65536}) {
      for (const bool offload : {false, true}) {
        RawOptions options;
        options.detect_zeros = detect;
        options.offload = offload;
        options.shift = threads == 1 ? 0 : 12288;
        options.drop_cache = detect == 512;
        const Target target = Copy(image, options, threads, {});
        CHECK(std::equal(image.guest.begin(), image.guest.end(),
                         target.bytes.begin() + static_cast<ptrdiff_t>(options.shift)));
        CHECK_EQ(target.bytes.size(), image.guest.size() + options.shift);
        if (detect == 512) CHECK(target.written < image.guest.size() * 2 / 3);
      }
    }
  }
}

TEST("raw: zeros over old bytes are punched or written; skipped ones are left") {
  const Image image = MakeImage(36, 150);
  check::Random random(37);
  const std::vector<uint8_t> old = random.Bytes(image.guest.size());
  for (const ZeroPolicy policy : {ZeroPolicy::kPunch, ZeroPolicy::kWrite}) {
    for (const uint64_t detect : {0, 512}) {
      RawOptions options;
      options.zeros = policy;
      options.detect_zeros = detect;
      CHECK(Copy(image, options, 3, old).bytes == image.guest);
    }
  }
  RawOptions skip;
  const std::vector<uint8_t> kept = Copy(image, skip, 3, old).bytes;
  for (const Row& row : image.rows) {
    const std::vector<uint8_t>& expected = ReadsAsZeros(row.kind) ? old : image.guest;
    CHECK(std::equal(expected.begin() + static_cast<ptrdiff_t>(row.start),
                     expected.begin() + static_cast<ptrdiff_t>(row.end()),
                     kept.begin() + static_cast<ptrdiff_t>(row.start)));
  }
}

TEST("raw: a placement scatters; data without a place is an error") {
  const Image image = MakeImage(38, 40);
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", image.host);
  for (const bool offload : {false, true}) {
    const basecow::OwnedFd target = test::MakeFile(folder / "target", {});
    RawOptions options;
    options.fd = target.get();
    options.path = "target";
    options.offload = offload;
    options.zeros = ZeroPolicy::kWrite;
    auto batch = test::MakeBatch(0, image.guest.size(), image.rows, source.get());
    batch->has_placement = true;
    for (uint64_t i = 0; i < 40; i++) batch->placement.push_back({i * kUnit, kUnit, (39 - i) * kUnit});
    test::Run run(2, std::make_unique<RawSink>(options));
    run.Submit(std::move(batch));
    run.Finish();
    CHECK_OK(run.status());
    const std::vector<uint8_t> out = test::Content(target.get());
    for (ptrdiff_t i = 0; i < 40; i++) {
      CHECK(std::equal(image.guest.begin() + i * kUnit, image.guest.begin() + (i + 1) * kUnit,
                       out.begin() + (39 - i) * kUnit));
    }
  }
  RawOptions options;
  options.fd = source.get();
  auto batch = test::MakeBatch(0, kUnit, {Data(0, kUnit, 0)}, source.get());
  batch->has_placement = true;
  batch->placement = {{0, kUnit - 512, 0}};
  test::Run run(1, std::make_unique<RawSink>(options));
  run.Submit(std::move(batch));
  run.Finish();
  CHECK_EQ(run.status().err, EINVAL);
  CHECK(run.status().message.find("no place for the data at guest byte 3584") != std::string::npos);
}

TEST("compare: equal, first difference, and sides that are stored differently") {
  const Image one = MakeImage(39, 250);
  const check::Folder folder;
  const basecow::OwnedFd first = test::MakeFile(folder / "one", one.host);
  const auto compare = [&](const std::vector<uint8_t>& other) {
    const basecow::OwnedFd second = test::MakeFile(folder / "two", other);
    auto batch = test::MakeBatch(0, one.guest.size(), one.rows, first.get());
    batch->has_other = true;
    batch->other.rows = {Data(0, other.size(), 0)};
    batch->other.files.push_back({second.get(), "two"});
    test::Run run(4, std::make_unique<basecow::CompareSink>());
    run.Submit(std::move(batch));
    run.Finish();
    CHECK_OK(run.status());
    return run.Results()[0].mismatch;
  };
  CHECK_EQ(compare(one.guest), -1);
  check::Random random(40);
  for (int round = 0; round < 20; round++) {
    std::vector<uint8_t> other = one.guest;
    const uint64_t at = random.Below(other.size());
    const uint64_t behind = at + random.Below(other.size() - at);
    other[behind] ^= 1;
    other[at] ^= 0x80;
    CHECK_EQ(compare(other), static_cast<int64_t>(at));
  }
}

TEST("compare: the same place of the same file is not read") {
  const check::Folder folder;
  const basecow::OwnedFd file = test::MakeFile(folder / "empty", {});
  auto batch = test::MakeBatch(0, 8 * kSegment, {Data(0, 8 * kSegment, 0)}, file.get());
  batch->has_other = true;
  batch->other = batch->source;
  test::Run run(2, std::make_unique<basecow::CompareSink>());
  run.Submit(std::move(batch));
  run.Finish();
  CHECK_OK(run.status());
  CHECK_EQ(run.Results()[0].mismatch, -1);
}
