// Asked by binding.gyp: prints where an optional library is, or nothing when it cannot be used.
//   node libraries.cjs libdeflate|zstd|isal
// BASECOW_WITHOUT="libdeflate zstd isal" (any of them) builds as if they were not installed.
const { execFileSync } = require('node:child_process');
const { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');

const compiler = (process.env.CXX || 'c++').split(/\s+/);

function compile(...args) {
  return execFileSync(compiler[0], [...compiler.slice(1), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

/** Full path of a library file in the compiler's search path, undefined if there is none. */
function find(name) {
  const found = compile(`-print-file-name=${name}`).trim();
  return path.isAbsolute(found) && existsSync(found) ? found : undefined;
}

/** Does `source` compile and, with `libraries`, link into a shared object? (Debian's libzstd.a only does with -Bsymbolic.) */
function links(source, libraries) {
  const folder = mkdtempSync(path.join(tmpdir(), 'basecow-probe-'));
  try {
    const file = path.join(folder, 'probe.cc');
    writeFileSync(file, source);
    compile(
      '-std=c++20',
      '-fPIC',
      '-shared',
      '-Wl,-Bsymbolic',
      '-o',
      path.join(folder, 'probe.so'),
      file,
      ...libraries,
    );
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const probes = {
  libdeflate: [
    'libdeflate.a',
    '#include <libdeflate.h>\nvoid* probe() { libdeflate_alloc_compressor(1); return libdeflate_alloc_decompressor(); }',
  ],
  zstd: ['libzstd.a', '#include <zstd.h>\nvoid* probe() { ZSTD_createCCtx(); return ZSTD_createDCtx(); }'],
  isal: ['libisal.so.2', '#include <isa-l/igzip_lib.h>\nint probe() { return sizeof(isal_zstream); }'],
};

function locate(name) {
  const without = (process.env.BASECOW_WITHOUT || '').split(/[\s,]+/);
  if (without.includes(name)) return '';
  const [file, source] = probes[name];
  const found = find(file);
  if (!found) return '';
  if (!links(source, name === 'isal' ? [] : [found])) return '';
  return realpathSync(found);
}

try {
  process.stdout.write(locate(process.argv[2]));
} catch {
  // No compiler: make will say so better than we could.
}
