// A test binary is a few TEST blocks and nothing else; main is here. Prints `N passed, M failed` at the end.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "io/status.h"

namespace check {

struct Test {
  const char* name;
  std::function<void()> body;
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

/// Failures of the test that runs now; checks may be made by any thread that is joined in it.
inline int& Failures() {
  static int failures = 0;
  return failures;
}

struct Registered {
  Registered(const char* name, std::function<void()> body) { Tests().push_back({name, std::move(body)}); }
};

inline void Fail(const char* file, int line, const std::string& what) {
  ++Failures();
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}

template <typename A, typename B>
void Equal(const char* file, int line, const char* text, const A& actual, const B& expected) {
  if (actual == expected) return;
  std::ostringstream out;
  out << text << ": got " << actual << ", expected " << expected;
  Fail(file, line, out.str());
}

inline void Ok(const char* file, int line, const char* text, const basecow::Status& status) {
  if (!status.ok()) Fail(file, line, std::string(text) + ": " + status.message);
}

/// An empty folder that goes with the object.
class Folder {
 public:
  Folder() {
    const char* base = getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/basecow-test-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) abort();
  }
  ~Folder() {
    for (const std::string& name : Names()) unlink((path_ + "/" + name).c_str());
    rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::vector<std::string> Names() const {
    std::vector<std::string> names;
    DIR* folder = opendir(path_.c_str());
    while (const dirent* entry = readdir(folder)) {
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
        names.emplace_back(entry->d_name);
    }
    closedir(folder);
    return names;
  }

 private:
  std::string path_;
};

/// xorshift64*: the same numbers on every run.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dULL;
  }
  uint64_t Below(uint64_t limit) { return Next() % limit; }
  std::vector<uint8_t> Bytes(size_t length) {
    std::vector<uint8_t> bytes(length);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(Next() >> 56);
    return bytes;
  }

 private:
  uint64_t state_;
};

inline std::string Hex(const uint8_t* bytes, size_t length) {
  std::string text;
  char pair[3];
  for (size_t i = 0; i < length; ++i) {
    snprintf(pair, sizeof(pair), "%02x", bytes[i]);
    text += pair;
  }
  return text;
}

}  // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST(name) TEST_AT(name, __LINE__)
#define TEST_AT(name, line)                                                                      \
  static void CHECK_JOIN(TestBody, line)();                                                      \
  static const check::Registered CHECK_JOIN(registered, line)(name, CHECK_JOIN(TestBody, line)); \
  static void CHECK_JOIN(TestBody, line)()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) check::Fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (0)
#define CHECK_EQ(actual, expected) check::Equal(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_OK(status) check::Ok(__FILE__, __LINE__, #status, status)

int main() {
  int failed = 0;
  for (const check::Test& test : check::Tests()) {
    check::Failures() = 0;
    test.body();
    if (check::Failures() != 0) {
      ++failed;
      fprintf(stderr, "FAILED: %s\n", test.name);
    }
  }
  printf("%zu passed, %d failed\n", check::Tests().size() - static_cast<size_t>(failed), failed);
  return failed == 0 ? 0 : 1;
}
