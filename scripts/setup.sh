#!/usr/bin/env bash
# scripts/setup.sh PURPOSE: makes a fresh clone ready for PURPOSE (build, demo, test, bench or lint). Installs what is missing,
# builds what is out of date, and is done at once when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-build}

# package:what proves that it is there (a command, or a file when it starts with /)
required=(g++:g++ make:make python3:python3)
optional=(libdeflate-dev:/usr/include/libdeflate.h libzstd-dev:/usr/include/zstd.h libisal-dev:/usr/include/isa-l/igzip_lib.h)
case $purpose in
  build) ;;
  demo) required+=(qemu-utils:qemu-img e2fsprogs:mke2fs); optional+=(qemu-system-x86:qemu-system-x86_64) ;;
  test) required+=(qemu-utils:qemu-img qemu-system-x86:qemu-system-x86_64 xfsprogs:mkfs.xfs e2fsprogs:mke2fs
                   dosfstools:mkfs.vfat gdisk:sgdisk strace:strace
                   hashdeep:md5deep bmap-tools:bmaptool libxml2-utils:xmllint zlib1g-dev:/usr/include/zlib.h
                   g++-aarch64-linux-gnu:aarch64-linux-gnu-g++ qemu-user:qemu-aarch64) ;;
  # Rivals that are missing are told as absent.
  bench) required+=(qemu-utils:qemu-img e2fsprogs:mke2fs)
         optional+=(hashdeep:md5deep openssl:openssl libnbd-bin:nbdcopy valgrind:valgrind xfsprogs:mkfs.xfs btrfs-progs:mkfs.btrfs) ;;
  lint) required+=(clang-format:clang-format clang-tidy:clang-tidy) ;;
  *) echo "usage: scripts/setup.sh build|demo|test|bench|lint" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
present() { case $1 in /*) [ -e "$1" ] ;; *) command -v "$1" >/dev/null 2>&1 ;; esac }
missing() { local entry; for entry in "$@"; do present "${entry#*:}" || printf '%s ' "${entry%%:*}"; done }

need=$(missing "${required[@]}")
want=$(missing "${optional[@]}")
if [ -n "$need$want" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing $need$want"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { apt-get -qq update && apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $need$want; } >/dev/null || {
      # Optional packages must not stop the rest.
      [ -z "$need" ] || apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $need >/dev/null
    }
  elif [ -n "$need" ]; then
    echo "setup: missing packages; run: sudo apt-get install --no-install-recommends $need$want" >&2
    exit 1
  else
    echo "setup: going on without optional packages (slower or skipped): $want" >&2
  fi
fi

# Headers that came with this node serve node-gyp offline.
prefix=$(dirname "$(dirname "$(command -v node)")")
if [ -z "${npm_config_nodedir:-}" ] && [ -e "$prefix/include/node/node_api.h" ]; then export npm_config_nodedir=$prefix; fi

quietly() { # runs a step; its output is shown only when it fails
  local log; log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then cat "$log" >&2; rm -f "$log"; echo "setup: failed: $*" >&2; exit 1; fi
  rm -f "$log"
}
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "setup: npm ci"
  quietly npm ci --ignore-scripts
  touch node_modules/.package-lock.json
fi
newer() { [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1" -print -quit)" ]; }
if newer build/Release/basecow.node native binding.gyp; then
  echo "setup: building the addon"
  if [ -e build/Makefile ]; then quietly npm run --silent build:native; else quietly npx --no-install node-gyp rebuild; fi
  touch build/Release/basecow.node
fi
if newer dist/.built src tsconfig.json scripts/bundle.mjs scripts/code-cache.cjs; then
  echo "setup: building TypeScript"
  quietly npm run --silent build:ts
  touch dist/.built
fi
