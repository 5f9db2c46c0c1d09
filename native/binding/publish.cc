#include "io/publish.h"

#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/cipher_argument.h"
#include "binding/errors.h"
#include "binding/functions.h"
#include "crypt/write_sealed.h"

namespace basecow {

namespace {

struct PublishWork {
  std::vector<PublishRequest> requests;
  bool group_sync = false;
  Control control;
  std::vector<Status> outcomes;
};

PublishRequest ReadRequest(Arguments& arguments, Napi::Object file, std::vector<Napi::Object>* keep) {
  PublishRequest request;
  request.path = arguments.PathOf(file.Get("path"), "files[].path");
  request.mode = arguments.CountOf(file.Get("mode"), "files[].mode", 0, 07777);
  request.length = arguments.OffsetOf(file.Get("length"), "files[].length");
  request.replace = arguments.FlagOf(file.Get("replace"), "files[].replace");
  request.sync = arguments.FlagOf(file.Get("sync"), "files[].sync");
  const Napi::Array pieces = arguments.ArrayOf(file.Get("pieces"), "files[].pieces");
  const uint32_t count = pieces.Length();
  for (uint32_t i = 0; arguments.ok() && i < count; ++i) {
    const Napi::Object piece = arguments.ObjectOf(pieces.Get(i), "files[].pieces[]");
    const uint64_t offset = arguments.OffsetOf(piece.Get("offset"), "files[].pieces[].offset");
    const Napi::Value data = piece.Get("data");
    const Bytes bytes = arguments.BytesOf(data, "files[].pieces[].data");
    if (!arguments.ok()) break;
    if (offset + bytes.length > request.length) {
      arguments.FailRange("files[].pieces[]", "inside the file's length",
                          Napi::Number::New(file.Env(), static_cast<double>(offset + bytes.length)));
      break;
    }
    if (bytes.length == 0) continue;
    request.pieces.push_back({offset, bytes.data, bytes.length});
    keep->push_back(bytes.owner);
  }
  return request;
}

Napi::Value MakeOutcomes(Napi::Env env, const PublishWork& work) {
  Napi::Array result = Napi::Array::New(env, work.outcomes.size());
  for (uint32_t i = 0; i < work.outcomes.size(); ++i) {
    const Napi::HandleScope scope(env);
    const Status& status = work.outcomes[i];
    Napi::Object outcome = Napi::Object::New(env);
    if (!status.ok()) {
      Napi::Object error = Napi::Object::New(env);
      error.Set("code", status.code != nullptr ? std::string(status.code) : ErrnoName(status.err));
      error.Set("syscall", status.syscall);
      error.Set("message", status.message);
      outcome.Set("error", error);
    }
    result.Set(i, outcome);
  }
  return result;
}

/// publishFiles(files, groupSync): Promise<PublishOutcome[]>
Napi::Value PublishFilesCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Arguments arguments(info, "publishFiles");
  auto work = std::make_shared<PublishWork>();
  const Napi::Array files = arguments.ArrayOf(info[0], "files");
  work->group_sync = arguments.Flag(1, "groupSync");
  work->control = Control(nullptr, &Engine::Of(env).aborting());
  if (!arguments.ok()) return {};

  // The pieces' memory must stay; one array holds all of it by one reference. It is filled through the
  // handle scope of each file, so that a batch of any size needs few handles at a time.
  const Napi::Array kept = Napi::Array::New(env);
  uint32_t kept_count = 0;
  const uint32_t count = files.Length();
  work->requests.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::HandleScope scope(env);
    std::vector<Napi::Object> keep;
    const Napi::Object file = arguments.ObjectOf(files.Get(i), "files[]");
    PublishRequest request = ReadRequest(arguments, file, &keep);
    if (!arguments.ok()) return {};
    work->requests.push_back(std::move(request));
    for (const Napi::Object& object : keep) kept.Set(kept_count++, object);
  }
  return RunAsync(
      env, {kept},
      [work] {
        PublishFiles(work->requests, work->group_sync, work->control, &work->outcomes);
        return Status::Ok();
      },
      [work](Napi::Env env) -> Napi::Value { return MakeOutcomes(env, *work); });
}

/// The pieces as sectors of the cipher at info[5], by their guest offsets at info[6].
Napi::Value WriteSealedCall(const Napi::CallbackInfo& info, Arguments& arguments, int fd,
                            const std::string& path, const std::vector<Piece>& pieces, const Bytes& buffer) {
  const std::shared_ptr<Cipher> cipher = CipherOf(arguments, info[5], "cipher");
  const TypedMemory guests = arguments.MemoryOf(info[6], napi_float64_array, pieces.size(), "guests");
  std::vector<SealedPiece> sealed;
  for (size_t i = 0; i < pieces.size() && arguments.ok(); ++i) {
    const Napi::Value number = Napi::Number::New(info.Env(), static_cast<const double*>(guests.data)[i]);
    const uint64_t guest = arguments.OffsetOf(number, "guests[]");
    const int64_t position = cipher->Position(guest, pieces[i].offset);
    if (position < 0 || position % kCipherSector != 0 || pieces[i].length % kCipherSector != 0) {
      arguments.FailRange("offsets", "those of whole sectors", info[3]);
    }
    sealed.push_back({pieces[i], static_cast<uint64_t>(position) / kCipherSector});
  }
  if (!arguments.ok()) return {};
  return RunAsync(info.Env(), {buffer.owner}, [fd, path, sealed = std::move(sealed), cipher] {
    return WriteSealed(fd, path, sealed, *cipher);
  });
}

/// writePieces(fd, path, buffer, offsets, lengths, cipher?, guests?): Promise<void>
Napi::Value WritePiecesCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "writePieces");
  const int fd = arguments.Fd(0, "fd");
  const std::string path = arguments.Path(1, "path");
  const Bytes buffer = arguments.BytesOf(info[2], "buffer");
  const TypedMemory offsets = arguments.MemoryOf(info[3], napi_float64_array, 0, "offsets");
  const TypedMemory lengths = arguments.MemoryOf(info[4], napi_uint32_array, 0, "lengths");
  if (!arguments.ok()) return {};
  if (offsets.length != lengths.length) {
    arguments.FailRange("lengths", "as many as offsets", info[4]);
    return {};
  }
  std::vector<Piece> pieces;
  pieces.reserve(offsets.length);
  size_t at = 0;
  for (size_t i = 0; i < offsets.length; ++i) {
    const double offset = static_cast<const double*>(offsets.data)[i];
    const size_t length = static_cast<const uint32_t*>(lengths.data)[i];
    const uint64_t whole = arguments.OffsetOf(Napi::Number::New(info.Env(), offset), "offsets[]");
    if (!arguments.ok()) return {};
    if (length > buffer.length - at) {
      arguments.FailRange("lengths", "in sum at most the buffer's length", info[4]);
      return {};
    }
    pieces.push_back({whole, buffer.data + at, length});
    at += length;
  }
  if (!info[5].IsUndefined()) return WriteSealedCall(info, arguments, fd, path, pieces, buffer);
  return RunAsync(info.Env(), {buffer.owner},
                  [fd, path, pieces = std::move(pieces)] { return WritePieces(fd, path, pieces); });
}

/// linkFd(fd, path): void
Napi::Value LinkFdCall(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "linkFd");
  const int fd = arguments.Fd(0, "fd");
  const std::string path = arguments.Path(1, "path");
  if (!arguments.ok()) return {};
  const Status status = LinkFd(fd, path);
  if (!status.ok()) return Throw(info.Env(), status);
  return info.Env().Undefined();
}

}  // namespace

void InitPublish(Napi::Env env, Napi::Object exports) {
  Export<PublishFilesCall>(env, exports, "publishFiles");
  Export<WritePiecesCall>(env, exports, "writePieces");
  Export<LinkFdCall>(env, exports, "linkFd");
}

}  // namespace basecow
