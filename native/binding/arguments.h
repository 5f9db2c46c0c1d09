// Checked reading of arguments. After a failed check a TypeError (or RangeError) is pending, ok() is false
// and every later reading returns its zero value, so a function checks once after reading all of them.
#pragma once

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "binding/engine.h"
#include "transfer/control.h"

namespace basecow {

/// Memory of a typed array or Buffer, and the object that owns it.
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
  Napi::Object owner;
};

/// Elements of any typed array; `length` counts elements.
struct TypedMemory {
  void* data = nullptr;
  size_t length = 0;
  Napi::Object owner;
};

class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, const char* function)
      : env_(info.Env()), info_(&info), function_(function) {}
  /// For reading properties only.
  Arguments(Napi::Env env, const char* function) : env_(env), info_(nullptr), function_(function) {}

  [[nodiscard]] bool ok() const { return ok_; }

  // By position; `name` is for the message.
  int Fd(size_t index, const char* name) { return FdOf(At(index), name); }
  uint64_t Offset(size_t index, const char* name) { return OffsetOf(At(index), name); }
  std::string Text(size_t index, const char* name) { return TextOf(At(index), name); }
  std::string Path(size_t index, const char* name) { return PathOf(At(index), name); }
  bool Flag(size_t index, const char* name) { return FlagOf(At(index), name); }
  int Choice(size_t index, const char* name, std::initializer_list<const char*> words) {
    return ChoiceOf(At(index), name, words);
  }
  Napi::Object Object(size_t index, const char* name) { return ObjectOf(At(index), name); }

  // Any value; `name` is for the message. Offsets are exact integers from 0 to 2^53 - 1.
  int FdOf(Napi::Value value, const char* name);
  uint64_t OffsetOf(Napi::Value value, const char* name);
  /// From -(2^53 - 1) on.
  int64_t SignedOffsetOf(Napi::Value value, const char* name);
  uint32_t CountOf(Napi::Value value, const char* name, uint32_t lowest, uint32_t highest);
  std::string TextOf(Napi::Value value, const char* name);
  /// A string that can be given to the system: not empty, no null byte.
  std::string PathOf(Napi::Value value, const char* name);
  /// One of `words`; its index (0 after a failure).
  int ChoiceOf(Napi::Value value, const char* name, std::initializer_list<const char*> words);
  bool FlagOf(Napi::Value value, const char* name);
  Napi::Object ObjectOf(Napi::Value value, const char* name);
  Napi::Array ArrayOf(Napi::Value value, const char* name);
  /// A Uint8Array or Buffer.
  Bytes BytesOf(Napi::Value value, const char* name);
  /// A typed array of exactly this element type with at least `least` elements.
  TypedMemory MemoryOf(Napi::Value value, napi_typedarray_type type, size_t least, const char* name);
  /// A control block: SharedArrayBuffer of at least kControlBytes. `*owner` must be kept while it is used.
  Control ControlOf(Napi::Value value, const char* name, Napi::Object* owner);

  [[nodiscard]] Napi::Value At(size_t index) const {
    return info_ == nullptr ? env_.Undefined() : (*info_)[index];
  }
  void FailType(const char* name, const char* expected, Napi::Value actual);
  void FailRange(const char* name, const char* expected, Napi::Value actual);

 private:
  Napi::Env env_;
  const Napi::CallbackInfo* info_;
  const char* function_;
  bool ok_ = true;
};

}  // namespace basecow
