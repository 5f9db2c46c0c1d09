#!/usr/bin/env bash
# scripts/lint-native.sh [--fix]: layout (clang-format) and common mistakes (clang-tidy) of native/. --fix only formats.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(find native -name '*.h' -o -name '*.cc' | sort)
if [ "${1:-}" = --fix ]; then
  clang-format -i "${files[@]}"
  exit
fi
clang-format --dry-run -Werror "${files[@]}"

headers=
for folder in "${npm_config_nodedir:-}" "$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")" \
  "${HOME}/.cache/node-gyp/$(node -p process.versions.node)"; do
  if [ -e "$folder/include/node/node_api.h" ]; then headers=$folder/include/node; break; fi
done
if [ -z "$headers" ]; then echo "lint-native: no Node.js headers; run npm run build first" >&2; exit 1; fi
flags=(-std=c++20 -Inative "-isystem$headers" "-isystem$(node -p "require('node-addon-api').include_dir")"
  -DNAPI_DISABLE_CPP_EXCEPTIONS -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS -DNAPI_VERSION=9 '-DBASECOW_VERSION="lint"' -fno-exceptions
  -DBASECOW_HAVE_LIBDEFLATE -DBASECOW_HAVE_ZSTD -DBASECOW_HAVE_ISAL)
# One file per process; its report is shown only when there is something in it. A file that passed is checked again when it,
# any header or the rules changed.
stamps=build-lint
mkdir -p "$stamps"
check() {
  local output stamp=$1/${2//\//_}
  output=$(clang-tidy --quiet "$2" -- "${@:3}" 2>/dev/null) || { echo "$output"; rm -f "$stamp"; return 1; }
  touch "$stamp"
}
export -f check
stale() {
  local file stamp
  while read -r file; do
    stamp=$stamps/${file//\//_}
    if [ ! -e "$stamp" ] || [ -n "$(find "$file" .clang-tidy native -newer "$stamp" \( -path "$file" -o -name '*.h' -o -name .clang-tidy \) -print -quit)" ]
    then echo "$file"; fi
  done
}
# The tests define main in a header and are run by one thread: layout only.
printf '%s\n' "${files[@]}" | grep '\.cc$' | grep -v '^native/test/' | stale |
  xargs -r -P "$(nproc)" -I{} bash -c 'check "$@"' check "$stamps" {} "${flags[@]}"
