#include "binding/arguments.h"

#include <cmath>

#include "binding/errors.h"

namespace basecow {

namespace {

constexpr double kMaxSafe = 9007199254740991.0;

std::string Describe(Napi::Value value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_number:
    case napi_boolean:
      return value.ToString().Utf8Value();
    case napi_string:
      return "the string '" + value.As<Napi::String>().Utf8Value() + "'";
    case napi_object:
      return value.IsArray() ? "an array" : "an object";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    default:
      return "a value of another type";
  }
}

bool IsWhole(Napi::Value value, double highest) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  return number >= 0 && number <= highest && std::floor(number) == number;
}

}  // namespace

void Arguments::FailType(const char* name, const char* expected, Napi::Value actual) {
  if (!ok_) return;
  ok_ = false;
  ThrowType(env_,
            std::string(function_) + ": " + name + " must be " + expected + ", received " + Describe(actual));
}

void Arguments::FailRange(const char* name, const char* expected, Napi::Value actual) {
  if (!ok_) return;
  ok_ = false;
  Napi::Object error = Napi::RangeError::New(env_, std::string(function_) + ": " + name + " must be " +
                                                       expected + ", received " + Describe(actual))
                           .Value();
  error.Set("code", "ERR_OUT_OF_RANGE");
  napi_throw(env_, error);
}

int Arguments::FdOf(Napi::Value value, const char* name) {
  if (!ok_) return -1;
  if (!value.IsNumber()) {
    FailType(name, "a file descriptor", value);
    return -1;
  }
  if (!IsWhole(value, 2147483647.0)) {
    FailRange(name, "a file descriptor (0 to 2147483647)", value);
    return -1;
  }
  return value.As<Napi::Number>().Int32Value();
}

uint64_t Arguments::OffsetOf(Napi::Value value, const char* name) {
  if (!ok_) return 0;
  if (!value.IsNumber()) {
    FailType(name, "a number of bytes", value);
    return 0;
  }
  if (!IsWhole(value, kMaxSafe)) {
    FailRange(name, "a whole number of bytes from 0 to 2^53 - 1", value);
    return 0;
  }
  return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
}

int64_t Arguments::SignedOffsetOf(Napi::Value value, const char* name) {
  const bool negative = ok_ && value.IsNumber() && value.As<Napi::Number>().DoubleValue() < 0;
  if (!negative) return static_cast<int64_t>(OffsetOf(value, name));
  const double size = -value.As<Napi::Number>().DoubleValue();
  return -static_cast<int64_t>(OffsetOf(Napi::Number::New(env_, size), name));
}

uint32_t Arguments::CountOf(Napi::Value value, const char* name, uint32_t lowest, uint32_t highest) {
  if (!ok_) return 0;
  const std::string range =
      "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest);
  if (!value.IsNumber()) {
    FailType(name, range.c_str(), value);
    return 0;
  }
  if (!IsWhole(value, highest) || value.As<Napi::Number>().DoubleValue() < lowest) {
    FailRange(name, range.c_str(), value);
    return 0;
  }
  return value.As<Napi::Number>().Uint32Value();
}

std::string Arguments::TextOf(Napi::Value value, const char* name) {
  if (!ok_) return {};
  if (!value.IsString()) {
    FailType(name, "a string", value);
    return {};
  }
  return value.As<Napi::String>().Utf8Value();
}

std::string Arguments::PathOf(Napi::Value value, const char* name) {
  std::string path = TextOf(value, name);
  if (ok_ && (path.empty() || path.find('\0') != std::string::npos)) {
    FailType(name, "a path that is not empty and has no null bytes", value);
  }
  return path;
}

int Arguments::ChoiceOf(Napi::Value value, const char* name, std::initializer_list<const char*> words) {
  const std::string text = TextOf(value, name);
  if (!ok_) return 0;
  std::string expected = "one of";
  int index = 0;
  for (const char* word : words) {
    if (text == word) return index;
    expected.append(index++ == 0 ? " '" : ", '").append(word).append("'");
  }
  FailRange(name, expected.c_str(), value);
  return 0;
}

bool Arguments::FlagOf(Napi::Value value, const char* name) {
  if (!ok_) return false;
  if (!value.IsBoolean()) {
    FailType(name, "true or false", value);
    return false;
  }
  return value.As<Napi::Boolean>().Value();
}

Napi::Object Arguments::ObjectOf(Napi::Value value, const char* name) {
  if (ok_ && !value.IsObject()) FailType(name, "an object", value);
  return ok_ ? value.As<Napi::Object>() : Napi::Object::New(env_);
}

Napi::Array Arguments::ArrayOf(Napi::Value value, const char* name) {
  if (ok_ && !value.IsArray()) FailType(name, "an array", value);
  return ok_ ? value.As<Napi::Array>() : Napi::Array::New(env_);
}

Bytes Arguments::BytesOf(Napi::Value value, const char* name) {
  const TypedMemory memory = MemoryOf(value, napi_uint8_array, 0, name);
  return {static_cast<uint8_t*>(memory.data), memory.length, memory.owner};
}

TypedMemory Arguments::MemoryOf(Napi::Value value, napi_typedarray_type type, size_t least,
                                const char* name) {
  static constexpr const char* kNames[] = {"an Int8Array",    "a Uint8Array",    "a Uint8ClampedArray",
                                           "an Int16Array",   "a Uint16Array",   "an Int32Array",
                                           "a Uint32Array",   "a Float32Array",  "a Float64Array",
                                           "a BigInt64Array", "a BigUint64Array"};
  TypedMemory memory;
  if (!ok_) return memory;
  napi_typedarray_type actual{};
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(env_, value, &actual, &memory.length, &memory.data, nullptr, nullptr) !=
          napi_ok ||
      actual != type) {
    FailType(name, kNames[type], value);
    return {};
  }
  if (memory.length < least) {
    FailRange(name, ("of at least " + std::to_string(least) + " elements").c_str(),
              Napi::Number::New(env_, static_cast<double>(memory.length)));
    return {};
  }
  memory.owner = value.As<Napi::Object>();
  return memory;
}

Control Arguments::ControlOf(Napi::Value value, const char* name, Napi::Object* owner) {
  if (!ok_) return {};
  // Node-API of Node 20 has no name for a SharedArrayBuffer, but knows a view of one.
  const Napi::Object global = env_.Global();
  const Napi::Value constructor = global.Get("SharedArrayBuffer");
  if (!value.IsObject() || !constructor.IsFunction() ||
      !value.As<Napi::Object>().InstanceOf(constructor.As<Napi::Function>())) {
    FailType(name, "a SharedArrayBuffer", value);
    return {};
  }
  const Napi::Object view = global.Get("Uint8Array").As<Napi::Function>().New({value});
  const TypedMemory memory = MemoryOf(view, napi_uint8_array, kControlBytes, name);
  if (!ok_) return {};
  *owner = view;
  return {memory.data, &Engine::Of(env_).aborting()};
}

}  // namespace basecow
