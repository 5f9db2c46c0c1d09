// Codec microbenchmark: one thread, CPU time, in memory. See run.sh.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#ifdef BASECOW_HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif
#ifdef BASECOW_HAVE_ISAL
#include <dlfcn.h>
#include <isa-l/igzip_lib.h>
#endif
#ifdef BASECOW_HAVE_ZSTD
#include <zstd.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codec/deflate.h"
#include "codec/inflate.h"
#include "codec/zstd.h"

namespace {

constexpr size_t kUnit = 65536;

using Bytes = std::vector<uint8_t>;

[[noreturn]] void Fail(const std::string& why) {
  fprintf(stderr, "codec: %s\n", why.c_str());
  exit(1);
}

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

bool AllZero(const uint8_t* data, size_t length) {
  return data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

/// Clusters that are not zero, evenly over the file, one behind the other.
Bytes Sample(const std::string& path, size_t wanted) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail("cannot open " + path);
  std::vector<off_t> places;
  const off_t end = lseek(fd, 0, SEEK_END);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0) break;
    off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0) hole = end;
    at = data / static_cast<off_t>(kUnit) * static_cast<off_t>(kUnit);
    if (!places.empty() && places.back() >= at) at = places.back() + static_cast<off_t>(kUnit);
    for (; at < hole; at += static_cast<off_t>(kUnit)) places.push_back(at);
  }
  Bytes sample;
  const size_t count = std::min(wanted, places.size());
  for (size_t i = 0; i < count; i++) {
    uint8_t cluster[kUnit] = {};
    const off_t place = places[i * places.size() / count];
    if (pread(fd, cluster, kUnit, place) < 0) Fail("cannot read " + path);
    if (!AllZero(cluster, kUnit)) sample.insert(sample.end(), cluster, cluster + kUnit);
  }
  close(fd);
  if (sample.empty()) Fail(path + " holds only zeros");
  return sample;
}

/// Bytes made of one cluster; 0 when it is kept as it is.
using Pack = std::function<size_t(const uint8_t* in, uint8_t* out, size_t capacity)>;
using Unpack = std::function<bool(const uint8_t* in, size_t length, uint8_t* out)>;

struct Packed {
  std::vector<Bytes> clusters;
};

struct Case {
  std::string group;
  std::string name;
  Pack pack;
  Unpack unpack;
  const Packed* from = nullptr;
  double best = 1e9;
  size_t size = 0;
  bool rival = false;
};

struct ZlibPack {
  z_stream stream{};
  int level;
  explicit ZlibPack(int with) : level(with) {}
  /// As QEMU: a stream of its own for each cluster (block/qcow2-threads.c).
  size_t operator()(const uint8_t* in, uint8_t* out, size_t capacity) {
    z_stream made{};
    if (deflateInit2(&made, level, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK) Fail("deflateInit2");
    made.next_in = const_cast<Bytef*>(in);
    made.avail_in = kUnit;
    made.next_out = out;
    made.avail_out = static_cast<uInt>(capacity);
    const int result = deflate(&made, Z_FINISH);
    deflateEnd(&made);
    return result == Z_STREAM_END ? made.total_out : 0;
  }
};

bool ZlibUnpack(const uint8_t* in, size_t length, uint8_t* out) {
  z_stream stream{};
  if (inflateInit2(&stream, -12) != Z_OK) Fail("inflateInit2");
  stream.next_in = const_cast<Bytef*>(in);
  stream.avail_in = static_cast<uInt>(length);
  stream.next_out = out;
  stream.avail_out = kUnit;
  const int result = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0;
}

Packed PackAll(const Bytes& sample, const Pack& pack) {
  Packed packed;
  Bytes out(kUnit);
  for (size_t at = 0; at < sample.size(); at += kUnit) {
    const size_t size = pack(&sample[at], out.data(), kUnit - 1);
    packed.clusters.emplace_back(out.begin(), out.begin() + static_cast<ptrdiff_t>(size));
  }
  return packed;
}

void Run(Case& one, const Bytes& sample) {
  Bytes out(kUnit);
  size_t size = 0;
  double spent = 0;
  if (one.pack) {
    const double start = CpuSeconds();
    for (size_t at = 0; at < sample.size(); at += kUnit) {
      const size_t made = one.pack(&sample[at], out.data(), kUnit - 1);
      size += made == 0 ? kUnit : made;
    }
    spent = CpuSeconds() - start;
  } else {
    const double start = CpuSeconds();
    size_t at = 0;
    for (const Bytes& cluster : one.from->clusters) {
      if (!cluster.empty()) {
        if (!one.unpack(cluster.data(), cluster.size(), out.data())) Fail(one.name + " cannot decode");
        size += kUnit;
      }
      at += kUnit;
    }
    spent = CpuSeconds() - start;
  }
  one.best = std::min(one.best, spent);
  one.size = size;
}

/// What it writes must come back by the rival's reader, what it reads must be the sample.
void Verify(const Case& one, const Bytes& sample, const Unpack& zlib, const Unpack& zstd) {
  Bytes packed(kUnit);
  Bytes out(kUnit);
  size_t index = 0;
  for (size_t at = 0; at < sample.size(); at += kUnit, index++) {
    if (one.pack) {
      const size_t size = one.pack(&sample[at], packed.data(), kUnit - 1);
      if (size == 0) continue;
      if (!(one.group == "deflate" ? zlib : zstd)(packed.data(), size, out.data())) {
        Fail(one.name + " writes what cannot be read");
      }
    } else {
      const Bytes& cluster = one.from->clusters[index];
      if (cluster.empty()) continue;
      if (!one.unpack(cluster.data(), cluster.size(), out.data())) Fail(one.name + " cannot decode");
    }
    if (memcmp(out.data(), &sample[at], kUnit) != 0) Fail(one.name + " changes bytes");
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string path;
  std::string only;
  size_t wanted = 1024;
  int rounds = 5;
  bool json = false;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const auto value = [&] { return ++i < argc ? std::string(argv[i]) : (Fail(word + " needs a value"), ""); };
    if (word == "--json") {
      json = true;
    } else if (word == "--clusters") {
      wanted = strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--rounds") {
      rounds = atoi(value().c_str());
    } else if (word == "--only") {
      only = value();
    } else if (word[0] == '-') {
      Fail("unknown option " + word);
    } else {
      path = word;
    }
  }
  if (path.empty() || wanted == 0 || rounds < 1) {
    Fail("usage: bench/codec/run.sh [--json] [--clusters N] [--rounds N] [--only GROUP] DISK");
  }
  const Bytes sample = Sample(path, wanted);
  std::vector<Case> cases;

  cases.push_back({.group = "deflate", .name = "zlib as QEMU", .pack = ZlibPack(-1), .rival = true});
  for (int level = 0; level <= 9; level++) {
    auto deflater = std::make_shared<basecow::Deflater>();
    if (!deflater->Open(level).ok()) Fail("no deflate level");
    cases.push_back({.group = "deflate",
                     .name = "basecow level " + std::to_string(level),
                     .pack = [deflater](const uint8_t* in, uint8_t* out, size_t capacity) {
                       return deflater->Deflate(in, kUnit, out, capacity);
                     }});
  }

  const Packed zlib_packed = PackAll(sample, ZlibPack(-1));
  cases.push_back({.group = "inflate",
                   .name = "zlib as QEMU",
                   .unpack = ZlibUnpack,
                   .from = &zlib_packed,
                   .rival = true});
  auto inflater = std::make_shared<basecow::Inflater>();
  cases.push_back({.group = "inflate",
                   .name = "basecow",
                   .unpack = [inflater](const uint8_t* in, size_t length,
                                        uint8_t* out) { return inflater->Inflate(in, length, out, kUnit); },
                   .from = &zlib_packed});
#ifdef BASECOW_HAVE_LIBDEFLATE
  libdeflate_decompressor* libdeflate = libdeflate_alloc_decompressor();
  cases.push_back({.group = "inflate",
                   .name = "libdeflate",
                   .unpack =
                       [libdeflate](const uint8_t* in, size_t length, uint8_t* out) {
                         return libdeflate_deflate_decompress(libdeflate, in, length, out, kUnit, nullptr) ==
                                LIBDEFLATE_SUCCESS;
                       },
                   .from = &zlib_packed});
#endif
#ifdef BASECOW_HAVE_ISAL
  if (void* isal = dlopen("libisal.so.2", RTLD_NOW)) {
    const auto init = reinterpret_cast<decltype(&isal_inflate_init)>(dlsym(isal, "isal_inflate_init"));
    const auto inflate = reinterpret_cast<decltype(&isal_inflate_stateless)>(
        dlsym(isal, "isal_inflate_stateless"));
    auto state = std::make_shared<inflate_state>();
    cases.push_back({.group = "inflate",
                     .name = "igzip",
                     .unpack =
                         [=](const uint8_t* in, size_t length, uint8_t* out) {
                           init(state.get());
                           state->next_in = const_cast<uint8_t*>(in);
                           state->avail_in = static_cast<uint32_t>(length);
                           state->next_out = out;
                           state->avail_out = kUnit;
                           return inflate(state.get()) == ISAL_DECOMP_OK && state->avail_out == 0;
                         },
                     .from = &zlib_packed});
  }
#endif

  Unpack zstd_as_qemu;
  Packed zstd_packed;
#ifdef BASECOW_HAVE_ZSTD
  // As QEMU: a context and a stream of its own for each cluster (block/qcow2-threads.c).
  const Pack zstd_pack = [](const uint8_t* in, uint8_t* out, size_t capacity) -> size_t {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_outBuffer output = {out, capacity, 0};
    ZSTD_inBuffer input = {in, kUnit, 0};
    const size_t left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_end);
    ZSTD_freeCCtx(context);
    return left == 0 ? output.pos : 0;
  };
  zstd_as_qemu = [](const uint8_t* in, size_t length, uint8_t* out) {
    ZSTD_DCtx* context = ZSTD_createDCtx();
    ZSTD_outBuffer output = {out, kUnit, 0};
    ZSTD_inBuffer input = {in, length, 0};
    size_t left = 1;
    while (output.pos < kUnit && ZSTD_isError(left) == 0) {
      const size_t before = output.pos + input.pos;
      left = ZSTD_decompressStream(context, &output, &input);
      if (output.pos + input.pos == before) break;
    }
    ZSTD_freeDCtx(context);
    return left == 0 && output.pos == kUnit;
  };
  zstd_packed = PackAll(sample, zstd_pack);
  cases.push_back({.group = "zstd", .name = "zstd as QEMU", .pack = zstd_pack, .rival = true});
  for (const int level : {0, 1, 2, 3, 4, 5, 6, 9, 12}) {
    auto encoder = std::make_shared<basecow::ZstdEncoder>();
    if (!encoder->Open(level).ok()) Fail("no zstd");
    cases.push_back({.group = "zstd",
                     .name = "basecow level " + std::to_string(level),
                     .pack = [encoder](const uint8_t* in, uint8_t* out, size_t capacity) {
                       return encoder->Encode(in, kUnit, out, capacity);
                     }});
  }
  cases.push_back({.group = "unzstd",
                   .name = "zstd as QEMU",
                   .unpack = zstd_as_qemu,
                   .from = &zstd_packed,
                   .rival = true});
  auto decoder = std::make_shared<basecow::ZstdDecoder>();
  if (!decoder->Open().ok()) Fail("no zstd");
  cases.push_back({.group = "unzstd",
                   .name = "basecow",
                   .unpack = [decoder](const uint8_t* in, size_t length,
                                       uint8_t* out) { return decoder->Decode(in, length, out, kUnit); },
                   .from = &zstd_packed});
#endif

  if (!only.empty()) std::erase_if(cases, [&](const Case& one) { return one.group != only; });
  for (const Case& one : cases) Verify(one, sample, ZlibUnpack, zstd_as_qemu);
  for (int round = 0; round < rounds; round++) {
    for (Case& one : cases) Run(one, sample);
  }

  if (json) {
    printf("{\"clusters\":%zu,\"clusterSize\":%zu,\"bytes\":%zu,\"rounds\":%d,\"rows\":[", sample.size() / kUnit,
           kUnit, sample.size(), rounds);
  } else {
    printf("%zu clusters of 64 KiB, best of %d\n%-9s%-18s%10s%10s%12s%10s\n", sample.size() / kUnit, rounds, "",
           "", "MB/s", "speed", "bytes", "size");
  }
  const Case* rival = nullptr;
  for (const Case& one : cases) {
    if (one.rival) rival = &one;
    const double bytes = static_cast<double>(one.pack ? sample.size() : one.size);
    const double speed = bytes / one.best * 1e-6;
    const double ratio = rival->best / one.best;
    const double size = static_cast<double>(one.size) / static_cast<double>(rival->size);
    if (json) {
      printf("%s{\"group\":\"%s\",\"name\":\"%s\",\"megabytesPerSecond\":%.1f,\"speedRatio\":%.3f,\"bytes\":%zu,"
             "\"sizeRatio\":%.4f}",
             &one == cases.data() ? "" : ",", one.group.c_str(), one.name.c_str(), speed, ratio, one.size, size);
    } else {
      printf("%-9s%-18s%10.1f%9.2fx%12zu%10.4f\n", one.group.c_str(), one.name.c_str(), speed, ratio, one.size,
             size);
    }
  }
  if (json) printf("]}\n");
  return 0;
}
