#include <linux/fs.h>
#include <sys/ioctl.h>

#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/errors.h"
#include "binding/functions.h"
#include "binding/typed_array.h"
#include "io/copy_file.h"
#include "io/data_runs.h"
#include "io/extend.h"
#include "io/file_hints.h"
#include "io/file_io.h"
#include "io/publish.h"

namespace basecow {

namespace {

/// copyFile(sourceFd, sourcePath, targetFd, targetPath, options): Promise<CopyFileResult>
Napi::Value CopyFileCall(const Napi::CallbackInfo& info) {
  struct Work {
    NamedFd source;
    NamedFd target;
    CopyFileOptions options;
    Control control;
    CopyFileResult result;
  };
  Arguments arguments(info, "copyFile");
  auto work = std::make_shared<Work>();
  work->source = {arguments.Fd(0, "sourceFd"), arguments.Path(1, "sourcePath")};
  work->target = {arguments.Fd(2, "targetFd"), arguments.Path(3, "targetPath")};
  const Napi::Object options = arguments.Object(4, "options");
  static constexpr Reflink kReflinks[] = {Reflink::kAuto, Reflink::kAlways, Reflink::kNever};
  const int reflink =
      arguments.ChoiceOf(options.Get("reflink"), "options.reflink", {"auto", "always", "never"});
  work->options.reflink = kReflinks[reflink];
  work->options.detect_zeros = arguments.CountOf(options.Get("detectZeros"), "options.detectZeros", 0,
                                                 static_cast<uint32_t>(CopyFileOptions::kMaxDetectZeros));
  if (arguments.ok() && work->options.detect_zeros % 512 != 0) {
    arguments.FailRange("options.detectZeros", "a multiple of 512", options.Get("detectZeros"));
  }
  const Napi::Value size = options.Get("size");
  if (!size.IsUndefined()) work->options.size = arguments.OffsetOf(size, "options.size");
  work->options.threads = arguments.CountOf(options.Get("threads"), "options.threads", 1, 16);
  work->options.target_is_zero = arguments.FlagOf(options.Get("targetIsZero"), "options.targetIsZero");
  Napi::Object control;
  work->control = arguments.ControlOf(options.Get("control"), "options.control", &control);
  if (!arguments.ok()) return {};

  return RunAsync(
      info.Env(), {control},
      [work] { return CopyFile(work->source, work->target, work->options, work->control, &work->result); },
      [work](Napi::Env env) -> Napi::Value {
        static constexpr const char* kMethods[] = {"reflink", "copy_file_range", "read-write"};
        Napi::Object result = Napi::Object::New(env);
        result.Set("method", kMethods[static_cast<int>(work->result.method)]);
        result.Set("copied", static_cast<double>(work->result.copied));
        return result;
      });
}

/// dataRuns(fd, start, end, max): { runs, next }
Napi::Value DataRunsCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info, "dataRuns");
  const int fd = arguments.Fd(0, "fd");
  const uint64_t start = arguments.Offset(1, "start");
  const uint64_t end = arguments.Offset(2, "end");
  const uint32_t max = arguments.CountOf(info[3], "max", 1, 1 << 20);
  if (!arguments.ok()) return {};
  std::vector<DataRun> runs;
  uint64_t next = start;
  const Status status = DataRuns(fd, {}, start, end, max, &runs, &next);
  if (!status.ok()) return Throw(env, status);
  const auto pairs = MakeTypedArray<Napi::Float64Array>(env, runs.size() * 2, [&](double* data) {
    for (const DataRun& run : runs) {
      *data++ = static_cast<double>(run.start);
      *data++ = static_cast<double>(run.end);
    }
  });
  Napi::Object result = Napi::Object::New(env);
  result.Set("runs", pairs);
  result.Set("next", static_cast<double>(next));
  return result;
}

/// extend(fd, path, from, size, preallocation, control): Promise<void>
Napi::Value ExtendCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "extend");
  const int fd = arguments.Fd(0, "fd");
  const std::string path = arguments.Path(1, "path");
  const uint64_t from = arguments.Offset(2, "from");
  const uint64_t size = arguments.Offset(3, "size");
  const int chosen = arguments.Choice(4, "preallocation", {"off", "falloc", "full"});
  Napi::Object owner;
  const Control control = arguments.ControlOf(info[5], "control", &owner);
  if (!arguments.ok()) return {};
  static constexpr Preallocation kModes[] = {Preallocation::kOff, Preallocation::kFalloc,
                                             Preallocation::kFull};
  const Preallocation mode = kModes[chosen];
  return RunAsync(info.Env(), {owner}, [=] { return Extend(fd, path, from, size, mode, control); });
}

/// syncfs(fd, path): Promise<void>
Napi::Value SyncfsCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "syncfs");
  const int fd = arguments.Fd(0, "fd");
  const std::string path = arguments.Path(1, "path");
  if (!arguments.ok()) return {};
  return RunAsync(info.Env(), {}, [=] { return SyncFilesystem(fd, path); });
}

/// zeroRange(fd, path, offset, length, control?): Promise<void>
Napi::Value ZeroRangeCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "zeroRange");
  const int fd = arguments.Fd(0, "fd");
  const std::string path = arguments.Path(1, "path");
  const uint64_t offset = arguments.Offset(2, "offset");
  const uint64_t length = arguments.Offset(3, "length");
  Control control(nullptr, &Engine::Of(info.Env()).aborting());
  std::vector<Napi::Object> owners;
  if (!info[4].IsUndefined()) {
    owners.emplace_back();
    control = arguments.ControlOf(info[4], "control", &owners.back());
  }
  if (!arguments.ok()) return {};
  return RunAsync(info.Env(), owners, [=]() -> Status {
    uint64_t written = 0;
    return ZeroRange(fd, path, offset, length, control, &written);
  });
}

/// hintNewFile(fd, noCopyOnWrite, extentSize): void
Napi::Value HintNewFileCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "hintNewFile");
  const int fd = arguments.Fd(0, "fd");
  const bool no_copy_on_write = arguments.FlagOf(info[1], "noCopyOnWrite");
  const uint32_t extent_size = arguments.CountOf(info[2], "extentSize", 0, UINT32_MAX);
  if (!arguments.ok()) return {};
  HintNewFile(fd, no_copy_on_write, extent_size);
  return info.Env().Undefined();
}

/// blockDeviceSize(fd): number
Napi::Value BlockDeviceSizeCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "blockDeviceSize");
  const int fd = arguments.Fd(0, "fd");
  if (!arguments.ok()) return {};
  uint64_t bytes = 0;
  if (ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
    return Throw(info.Env(), Status::System(errno, "ioctl(BLKGETSIZE64)", {}));
  }
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

}  // namespace

void InitFiles(Napi::Env env, Napi::Object exports) {
  Export<CopyFileCall>(env, exports, "copyFile");
  Export<DataRunsCall>(env, exports, "dataRuns");
  Export<ExtendCall>(env, exports, "extend");
  Export<SyncfsCall>(env, exports, "syncfs");
  Export<ZeroRangeCall>(env, exports, "zeroRange");
  Export<HintNewFileCall>(env, exports, "hintNewFile");
  Export<BlockDeviceSizeCall>(env, exports, "blockDeviceSize");
}

}  // namespace basecow
