// Makes the command line of dist/: dist/basecow.cjs, which starts the program, and dist/program/, all of the program's
// modules in one CommonJS file and V8's code for them. The library (dist/index.js) has nothing to do with it.
//
// Node needs 20 to 50 ms more to start the same program from its modules: loading ES modules is asynchronous and asks the
// filesystem for each, and everything is compiled anew every time.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { makeCodeCache } from './code-cache.cjs';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const folder = `${dist}program/`;

/** Where a module was before it became part of one file: what it says of its place stays true. */
const ownUrls = {
  name: 'import.meta.url of each module',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => {
      const source = path.startsWith(dist) ? readFileSync(path, 'utf8') : '';
      if (!source.includes('import.meta.url')) return undefined;
      const place = JSON.stringify(relative(folder, path));
      return {
        contents: source.replaceAll(
          'import.meta.url',
          `require("node:url").pathToFileURL(__dirname + "/" + ${place}).href`,
        ),
        loader: 'js',
        resolveDir: dirname(path),
      };
    });
  },
};

const { outputFiles } = await build({
  entryPoints: [`${dist}cli/main.js`],
  bundle: true,
  write: false,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  // Names stay: they are in the stacks of BASECOW_DEBUG=1. Only ASCII, so that it can be read without decoding.
  minifyWhitespace: true,
  minifySyntax: true,
  charset: 'ascii',
  external: ['cli-progress', 'piscina'],
  plugins: [ownUrls],
  logLevel: 'warning',
});
const program = outputFiles[0].text.replace(/^#!.*\n/, '');
const id = createHash('sha256').update(program).digest('hex').slice(0, 16);

const starter = `#!/usr/bin/env node
'use strict';
// Compiles the program as Node would, but with V8's code from the last time where that fits: V8 itself refuses code of
// another version, other flags or another processor. See scripts/bundle.mjs.
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const folder = __dirname + '/program/';
const filename = folder + '${id}.cjs';
let cachedData;
try {
  cachedData = readFileSync(folder + '${id}.' + process.version + '.code');
} catch {}
const source = '(function(exports,require,module,__filename,__dirname){' + readFileSync(filename, 'latin1') + '\\n})';
const script = new Script(source, { filename, cachedData });
script.runInThisContext().call(exports, exports, require, module, filename, folder.slice(0, -1));
// For code-cache.cjs.
exports.script = script;
`;

// In this order, so that the program can be started all the while.
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}${id}.cjs`, program);
writeFileSync(`${folder}starter`, starter, { mode: 0o755 });
renameSync(`${folder}starter`, `${dist}basecow.cjs`);
for (const name of readdirSync(folder)) if (name !== `${id}.cjs`) rmSync(`${folder}${name}`);
makeCodeCache();
