// Outcome of everything that can fail below the N-API boundary; no exceptions are used.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

namespace basecow {

/// Codes that are not errno names; src/disk/errors.ts maps them to its own.
inline constexpr const char* kCodeCorrupt = "BASECOW_CORRUPT";
inline constexpr const char* kCodeShrank = "BASECOW_SHRANK";

struct [[nodiscard]] Status {
  /// errno value; 0 = no error, or an error that only `code` names.
  int err = 0;
  /// System call for error.syscall, "" when none failed.
  const char* syscall = "";
  /// The whole sentence for error.message.
  std::string message;
  /// error.code; nullptr = the errno's name.
  const char* code = nullptr;
  std::string path;

  [[nodiscard]] bool ok() const { return err == 0 && code == nullptr; }

  static Status Ok() { return {}; }
  /// Node's wording: `ENOSPC: No space left on device, write 'path'`.
  static Status System(int err, const char* syscall, std::string_view path);
  /// As System, with one more clause after the path.
  static Status System(int err, const char* syscall, std::string_view path, std::string_view detail);
  /// An error of ours: `code` must be a string literal.
  static Status Coded(const char* code, std::string message, std::string_view path);
  /// ECANCELED: the control block or the end of the environment asked for it.
  static Status Cancelled();
};

/// `ENOSPC` for 28; "E<number>" for an errno without a name.
std::string ErrnoName(int err);

}  // namespace basecow

/// Returns from the enclosing function when `expression` is a failed Status.
#define BASECOW_TRY(expression)                      \
  do {                                               \
    ::basecow::Status status_of_try_ = (expression); \
    if (!status_of_try_.ok()) return status_of_try_; \
  } while (0)
