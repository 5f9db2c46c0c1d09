#!/usr/bin/env bash
# bench/kernels/run.sh [--json] [--small] | --fixed SET one|many MIB | --threads N
# The MD5 kernels in memory, with OpenSSL's in the same rounds (see kernels.cc): megabytes per second of CPU time and cycles per
# byte. --fixed does a fixed amount of work for `valgrind --tool=callgrind`.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/build-bench/kernels-md5
mkdir -p "$root/build-bench"
if [ ! -e "$out" ] || [ -n "$(find "$root/native/hash" "$root/bench/kernels" -newer "$out" -print -quit)" ]; then
  "${CXX:-g++}" -std=gnu++20 -O3 -fno-exceptions -Wall -Wextra "-I$root/native" -o "$out" \
    "$root/bench/kernels/kernels.cc" "$root"/native/hash/md5*.cc -ldl -lpthread
fi
exec "$out" "$@"
