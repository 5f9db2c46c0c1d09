#!/usr/bin/env bash
# native/test/run.sh [--tsan] [NAME...] | --aarch64: builds everything below the N-API boundary and native/test/*_test.cc with
# AddressSanitizer and UBSan (--tsan: ThreadSanitizer) and runs the tests (NAME: only those, such as `io`).
# --aarch64: builds the MD5 kernels and their tests for aarch64 and runs them under qemu-user.
set -euo pipefail
cd "$(dirname "$0")/../.."

kind=asan
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all"
run=()
names=()
for word in "$@"; do
  case $word in
    --tsan)
      kind=tsan
      sanitize=-fsanitize=thread
      # ThreadSanitizer needs its shadow addresses free, which full address randomisation does not promise.
      run=(setarch "$(uname -m)" -R) ;;
    --aarch64)
      out=build-native-test/aarch64
      mkdir -p $out
      ${CXX_AARCH64:-aarch64-linux-gnu-g++} -std=gnu++20 -O2 -fno-exceptions -Wall -Wextra -Wno-psabi -Inative -static \
        -fsanitize=undefined -fno-sanitize-recover=all -DBASECOW_TEXTBOOK_JUDGE \
        -o $out/md5_test native/test/md5_test.cc native/hash/md5*.cc
      exec qemu-aarch64 $out/md5_test ;;
    -*) echo "usage: native/test/run.sh [--tsan] [NAME...] | --aarch64" >&2; exit 2 ;;
    *) names+=("$word") ;;
  esac
done

out=build-native-test/$kind
mkdir -p "$out"
libraries=
defines=
for library in libdeflate zstd isal; do
  path=$(node native/libraries.cjs "$library")
  if [ -z "$path" ]; then continue; fi
  case $library in
    libdeflate) defines+=" -DBASECOW_HAVE_LIBDEFLATE"; libraries+=" $path" ;;
    zstd) defines+=" -DBASECOW_HAVE_ZSTD"; libraries+=" $path" ;;
    isal) defines+=" -DBASECOW_HAVE_ISAL" ;; # loaded at run time
  esac
done
# Objects depend on this file: another set of libraries builds anew.
flags="$sanitize $defines $libraries"
if [ "$flags" != "$(cat "$out/flags" 2>/dev/null)" ]; then echo "$flags" > "$out/flags"; fi

make --no-print-directory -s -j"$(nproc)" -f native/test/Makefile \
  OUT="$out" SANITIZE="$sanitize" DEFINES="$defines" LIBRARIES="$libraries"

export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
passed=0
failed=0
for source in native/test/*_test.cc; do
  name=$(basename "$source" _test.cc)
  if [ ${#names[@]} -gt 0 ] && [[ " ${names[*]} " != *" $name "* ]]; then continue; fi
  result=0
  # A test that hangs is a failure, not the end of the run.
  output=$(timeout --kill-after=10 600 "${run[@]}" "$out/${name}_test") || result=$?
  counts=$(tail -n 1 <<< "$output")
  echo "$name: $counts"
  if [[ $counts =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    # A sanitizer can speak after the last line of the test.
    if [ $result -ne 0 ] && [ "${BASH_REMATCH[2]}" = 0 ]; then failed=$((failed + 1)); fi
  else
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
