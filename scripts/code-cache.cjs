// Stores V8's compiled code of the command line beside it (see bundle.mjs), for this Node. Runs when the package is
// installed and after each build; without it, or with another Node, the program only starts slower.
//
// What to compile is found by using it: small images are made and looked at, each run adding to the code of the one before.
'use strict';
const { execFileSync } = require('node:child_process');
const { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

const dist = join(__dirname, '..', 'dist');
const folder = join(dist, 'program');
const starter = join(dist, 'basecow.cjs');

const runs = [
  ['create', '-q', '-f', 'raw', 'a.raw', '1M'],
  ['create', '-f', 'qcow2', '-b', 'a.raw', '-F', 'raw', 'a.qcow2'],
  ['info', 'a.qcow2'],
  ['info', '--output', 'json', 'a.raw'],
  ['map', 'a.qcow2'],
  ['check', 'a.qcow2'],
  ['measure', '-O', 'qcow2', 'a.raw'],
  ['convert', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'b.qcow2'],
  ['compare', 'a.raw', 'b.qcow2'],
  ['resize', 'b.qcow2', '2M'],
  ['hash', 'a.raw'],
  ['--version'],
];

exports.makeCodeCache = () => {
  if (!existsSync(starter)) return;
  const [program] = readdirSync(folder).filter((name) => name.endsWith('.cjs'));
  const code = join(folder, `${program.slice(0, -4)}.${process.version}.code`);
  const scratch = mkdtempSync(join(tmpdir(), 'basecow-code-'));
  try {
    for (const words of runs) {
      execFileSync(process.execPath, [__filename, code, ...words], { cwd: scratch, stdio: 'ignore' });
    }
  } catch (error) {
    // Code that is there all the same is good code; and the addon may not be built yet.
    if (process.env.BASECOW_DEBUG === '1') console.error(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

/** A process of its own for each run: starts the program, and keeps what V8 compiled when it ends. */
function record(code, words) {
  process.argv.splice(1, Infinity, starter, ...words);
  let loaded;
  process.on('exit', () => {
    const temporary = `${code}.${process.pid}`;
    writeFileSync(temporary, loaded.script.createCachedData());
    renameSync(temporary, code);
  });
  loaded = require(starter);
}

if (require.main === module) {
  const [code, ...words] = process.argv.slice(2);
  if (code === undefined) exports.makeCodeCache();
  else record(code, words);
}
