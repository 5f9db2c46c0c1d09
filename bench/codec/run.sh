#!/usr/bin/env bash
# bench/codec/run.sh [--json] [--clusters N] [--rounds N] [--only deflate|inflate|zstd|unzstd] DISK
# Compresses and decompresses 64 KiB clusters sampled over all of DISK (a raw image), in one thread and in memory, as QEMU does
# and as we do: megabytes per second of CPU time, total size, and both relative to QEMU's way. Everything is checked first.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/build-bench/codec
mkdir -p "$out"
flags=(-std=gnu++20 -O3 -fno-exceptions -Wall -Wextra -Wno-missing-field-initializers "-I$root/native")
libraries=()
for library in libdeflate zstd isal; do
  path=$(node "$root/native/libraries.cjs" "$library")
  if [ -z "$path" ]; then continue; fi
  flags+=("-DBASECOW_HAVE_${library^^}")
  if [ "$library" != isal ]; then libraries+=("$path"); fi # loaded at run time
done
make --no-print-directory -s -f "$root/bench/codec/Makefile" ROOT="$root" OUT="$out" \
  CXXFLAGS="${flags[*]}" LIBRARIES="${libraries[*]}"
exec "$out/codec" "$@"
