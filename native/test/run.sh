#!/usr/bin/env bash
# native/test/run.sh [--tsan] [NAME...]: builds everything below the N-API boundary and native/test/*_test.cc with
# AddressSanitizer and UBSan (--tsan: ThreadSanitizer) and runs the tests (NAME: only those, such as `io`).
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
    -*) echo "usage: native/test/run.sh [--tsan] [NAME...]" >&2; exit 2 ;;
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
  output=$("${run[@]}" "$out/${name}_test") || result=$?
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
