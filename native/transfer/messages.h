// Sentences of read and write errors: qemu-img's beginning, then the host side.
#pragma once

#include <cstdint>
#include <string_view>

#include "io/status.h"

namespace basecow {

/// `error while reading at byte N: Input/output error ('path' at host offset M)`; keeps errno and syscall.
Status ReadFailed(Status cause, std::string_view path, uint64_t guest, uint64_t host);
Status WriteFailed(Status cause, std::string_view path, uint64_t guest, uint64_t host);
/// BASECOW_CORRUPT
Status Undecodable(std::string_view codec, std::string_view path, uint64_t guest, uint64_t host);
/// BASECOW_SHRANK
Status EndsEarly(std::string_view path, uint64_t guest, uint64_t host);
/// EINVAL with this sentence.
Status InvalidPlan(std::string_view sentence);

}  // namespace basecow
