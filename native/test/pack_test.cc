#include <set>

#include "check.h"
#include "codec/inflate.h"
#include "io/file_io.h"
#include "support.h"
#include "transfer/pack_layout.h"
#include "transfer/pack_sink.h"

using basecow::PackCodec;
using basecow::PackGeometry;
using basecow::PackLayout;
using basecow::PackOptions;

namespace {

constexpr uint64_t kCluster = 4096;

struct Packed {
  std::vector<uint64_t> guest;
  std::vector<uint64_t> host;
  std::vector<uint32_t> size;
  std::vector<uint64_t> zeroed;
  std::vector<uint64_t> group_guest;
  std::vector<uint64_t> group_host;
  uint64_t first_free = 0;
  uint64_t written = 0;
  std::vector<uint8_t> file;
};

void Append(Packed* all, const basecow::BatchResult& part) {
  all->guest.insert(all->guest.end(), part.packed_guest.begin(), part.packed_guest.end());
  all->host.insert(all->host.end(), part.packed_host.begin(), part.packed_host.end());
  all->size.insert(all->size.end(), part.packed_size.begin(), part.packed_size.end());
  all->zeroed.insert(all->zeroed.end(), part.zeroed.begin(), part.zeroed.end());
  all->group_guest.insert(all->group_guest.end(), part.group_guest.begin(), part.group_guest.end());
  all->group_host.insert(all->group_host.end(), part.group_host.begin(), part.group_host.end());
  all->first_free = part.first_free;
}

/// Packs `guest` (a file of that content) in batches of `batch` bytes.
Packed Pack(const std::vector<uint8_t>& guest, PackCodec codec, uint32_t threads, uint64_t batch,
            uint64_t most_runs, bool report_zeros) {
  const check::Folder folder;
  const basecow::OwnedFd source = test::MakeFile(folder / "source", guest);
  const basecow::OwnedFd target = test::MakeFile(folder / "target", {});
  PackOptions options;
  options.fd = target.get();
  options.path = "target";
  options.cluster_size = kCluster;
  options.guest_size = guest.size();
  options.geometry = {kCluster, 3 * kCluster, 64 * kCluster, 128 * kCluster, kCluster, most_runs};
  options.report_zeros = report_zeros;
  options.codec = codec;
  CHECK_OK(basecow::ValidatePack(options, test::kSegment));
  test::Run run(threads, std::make_unique<basecow::PackSink>(options));
  Packed all;
  for (uint64_t at = 0; at < guest.size(); at += batch) {
    const uint64_t end = std::min<uint64_t>(guest.size(), at + batch);
    run.Submit(test::MakeBatch(at, end, {test::Data(0, guest.size(), 0)}, source.get()));
  }
  const auto totals = run.Finish();
  CHECK_OK(run.status());
  for (const basecow::BatchResult& result : run.Results()) Append(&all, result);
  Append(&all, *totals);
  all.written = totals->written;
  all.file = test::Content(target.get());
  return all;
}

/// Noise, text and zeros by clusters; the last cluster is short.
std::vector<uint8_t> Guest(uint64_t seed) {
  check::Random random(seed);
  std::vector<uint8_t> bytes(700 * kCluster + 1000);
  for (size_t at = 0; at < bytes.size(); at += kCluster) {
    const uint64_t what = random.Below(4);
    const size_t length = std::min<size_t>(kCluster, bytes.size() - at);
    if (what == 0) continue;
    const size_t noisy = what == 1 ? length : 1 + random.Below(length);
    const std::vector<uint8_t> noise = random.Bytes(noisy);
    std::copy(noise.begin(), noise.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
  }
  return bytes;
}

void CheckPlaces(const Packed& packed, const std::vector<uint8_t>& guest) {
  basecow::Inflater inflater;
  std::vector<uint8_t> cluster(kCluster);
  std::set<uint64_t> plain;
  for (size_t i = 0; i < packed.guest.size(); i++) {
    const uint64_t host = packed.host[i];
    const uint64_t length = packed.size[i] == 0 ? kCluster : packed.size[i];
    for (uint64_t touched = host / kCluster; touched <= (host + length - 1) / kCluster; touched++) {
      CHECK(touched >= 3);
      CHECK(touched % 64 != 0);
      if (packed.size[i] == 0) CHECK(plain.insert(touched).second);
    }
    CHECK(host + length <= packed.first_free);
    if (packed.size[i] == 0) {
      CHECK_EQ(host % kCluster, 0U);
      CHECK(host + kCluster <= packed.file.size());
      std::copy_n(packed.file.begin() + static_cast<ptrdiff_t>(host), kCluster, cluster.begin());
    } else {
      CHECK(inflater.Inflate(packed.file.data() + host, packed.size[i], cluster.data(), kCluster));
    }
    std::vector<uint8_t> expected(kCluster);
    const size_t there = std::min<size_t>(kCluster, guest.size() - packed.guest[i]);
    std::copy_n(guest.begin() + static_cast<ptrdiff_t>(packed.guest[i]), there, expected.begin());
    CHECK(cluster == expected);
  }
  for (size_t i = 0; i < packed.group_host.size(); i++) {
    CHECK_EQ(packed.group_host[i] % kCluster, 0U);
    CHECK(packed.group_host[i] / kCluster % 64 != 0);
    CHECK(plain.insert(packed.group_host[i] / kCluster).second);
  }
}

}  // namespace

TEST("layout: plain clusters leave the reserved ones alone") {
  PackLayout layout({4096, 3 * 4096, 8 * 4096, 0, 0, 0});
  std::vector<uint64_t> places;
  for (int i = 0; i < 12; i++) places.push_back(layout.Cluster() / 4096);
  const std::vector<uint64_t> expected = {3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15};
  CHECK(places == expected);
  CHECK_EQ(layout.first_free(), 16U * 4096);
  CHECK_EQ(layout.Cluster(), 17U * 4096);
}

TEST("layout: compressed runs go byte after byte and never across a reserved cluster") {
  PackLayout layout({4096, 6 * 4096, 8 * 4096, 0, 0, 0});
  CHECK_EQ(layout.Bytes(3000), 6U * 4096);
  CHECK_EQ(layout.Bytes(3000), 6U * 4096 + 3000);
  CHECK_EQ(layout.Bytes(2000), 6U * 4096 + 6000);
  // 192 bytes are left in cluster 7; cluster 8 is reserved, so the run begins anew in 9.
  CHECK_EQ(layout.Bytes(193), 9U * 4096);
  CHECK_EQ(layout.Cluster(), 10U * 4096);
  // Cluster 10 is taken: fits what is left of 9, or begins anew.
  CHECK_EQ(layout.Bytes(100), 9U * 4096 + 193);
  CHECK_EQ(layout.Bytes(4000), 11U * 4096);
  CHECK_EQ(layout.Bytes(96), 11U * 4096 + 4000);
  // Exactly full: nothing is shared with the next.
  CHECK_EQ(layout.Bytes(1), 12U * 4096);
}

TEST("layout: no more runs touch a cluster than the refcount can count") {
  PackLayout layout({4096, 4096, 0, 0, 0, 2});
  CHECK_EQ(layout.Bytes(10), 4096U);
  CHECK_EQ(layout.Bytes(10), 4096U + 10);
  CHECK_EQ(layout.Bytes(10), 2U * 4096);
  CHECK_EQ(layout.Bytes(4090), 2U * 4096 + 10);
  CHECK_EQ(layout.Bytes(10), 3U * 4096 + 4);
  CHECK_EQ(layout.Bytes(10), 4U * 4096);
}

TEST("layout: tables follow their group, contiguous and clear of the reserved clusters") {
  PackLayout layout({4096, 5 * 4096, 8 * 4096, 16 * 4096, 3 * 4096, 0});
  uint64_t group = 1;
  uint64_t table = 1;
  CHECK(!layout.PassTo(1 << 20, &group, &table));
  layout.Touch(17 * 4096);
  CHECK_EQ(layout.Cluster(), 5U * 4096);
  CHECK(!layout.PassTo(31 * 4096, &group, &table));
  CHECK(layout.PassTo(32 * 4096, &group, &table));
  CHECK_EQ(group, 16U * 4096);
  CHECK_EQ(table, 9U * 4096);
  CHECK(!layout.End(&group, &table));
}

TEST("pack: options that do not go together are refused") {
  PackOptions options;
  options.cluster_size = kCluster;
  options.geometry = {kCluster, 3 * kCluster, 64 * kCluster, 128 * kCluster, kCluster, 0};
  CHECK_OK(basecow::ValidatePack(options, test::kSegment));
  const auto refused = [&](auto change) {
    PackOptions wrong = options;
    change(wrong);
    return basecow::ValidatePack(wrong, test::kSegment).err == EINVAL;
  };
  CHECK(refused([](PackOptions& wrong) { wrong.cluster_size = 3000; }));
  CHECK(refused([](PackOptions& wrong) { wrong.cluster_size = 4 << 20; }));
  CHECK(refused([](PackOptions& wrong) { wrong.geometry.first_free = 100; }));
  CHECK(refused([](PackOptions& wrong) { wrong.geometry.reserve_every = kCluster; }));
  CHECK(refused([](PackOptions& wrong) { wrong.geometry.table_bytes = 0; }));
  CHECK(basecow::ValidatePack(options, kCluster + 512).err == EINVAL);
}

TEST("pack: plain clusters, whatever the threads and batches") {
  const std::vector<uint8_t> guest = Guest(21);
  const Packed one = Pack(guest, PackCodec::kNone, 1, guest.size(), 0, true);
  CheckPlaces(one, guest);
  CHECK_EQ(one.guest.size() + one.zeroed.size(), 701U);
  CHECK_EQ(one.group_guest.size(), 6U);
  CHECK_EQ(one.written, one.guest.size() * kCluster);
  const Packed four = Pack(guest, PackCodec::kNone, 4, 3 * test::kSegment, 0, true);
  CHECK(one.file == four.file);
  CHECK(one.host == four.host);
  CHECK(one.zeroed == four.zeroed);
  CHECK(one.group_guest == four.group_guest);
  CHECK(one.group_host == four.group_host);
  CHECK_EQ(one.first_free, four.first_free);
}

TEST("pack: compressed clusters, whatever the threads and batches") {
  const std::vector<uint8_t> guest = Guest(22);
  for (const uint64_t most_runs : {0, 3}) {
    const Packed one = Pack(guest, PackCodec::kDeflate, 1, guest.size(), most_runs, false);
    CheckPlaces(one, guest);
    CHECK(one.zeroed.empty());
    const Packed four = Pack(guest, PackCodec::kDeflate, 4, test::kSegment, most_runs, false);
    CHECK(one.file == four.file);
    CHECK(one.host == four.host);
    CHECK(one.size == four.size);
    CHECK(one.group_host == four.group_host);
  }
}
