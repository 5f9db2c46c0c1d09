// The README's library example is compiled as a user's strict TypeScript would be, and run against a small image.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import ts from 'typescript';
import { cloudImage, digestOf } from '../support/cloudImage.js';
import { ImageServer } from '../support/imageServer.js';
import { Random } from '../support/random.js';
import { md5sum, qemuImg } from '../support/tools.js';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));

function example(): string {
  const blocks = fs.readFileSync(README, 'utf8').match(/^```ts\n[\s\S]*?^```$/gm) ?? [];
  if (blocks.length !== 1) throw new Error(`README.md has ${blocks.length} TypeScript examples, not one`);
  return blocks[0].slice('```ts\n'.length, -'```'.length);
}

/** The text with its one quoted address replaced. */
function withAddress(text: string, quoted: RegExp, address: string): string {
  const found = text.match(new RegExp(quoted, 'g')) ?? [];
  if (found.length !== 1) throw new Error(`${quoted} occurs ${found.length} times in the example`);
  return text.replace(quoted, JSON.stringify(address));
}

/** Compiles `file` beside itself; returns what the compiler complains of. */
function compile(file: string): string[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    types: ['node'],
  };
  const program = ts.createProgram([file], options);
  const emitted = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics].map(({ messageText }) =>
    ts.flattenDiagnosticMessageText(messageText, '\n'),
  );
}

t.test('the example of README.md', async (t) => {
  const dir = t.testdir();
  const instances = join(dir, 'instances');
  const image = cloudImage(join(dir, 'cloud'), new Random(7101));
  const server = await ImageServer.start(t, fs.readFileSync(image.path));
  const text = withAddress(
    withAddress(example(), /'\/var\/lib\/[^']+'/, instances),
    /'https:\/\/[^']+'/,
    server.url,
  );
  fs.writeFileSync(join(dir, 'example.mts'), text);
  t.strictSame(compile(join(dir, 'example.mts')), []);

  const { stdout } = await promisify(execFile)(process.execPath, [join(dir, 'example.mjs')]);
  const [base] = fs.readdirSync(join(instances, '_base')).filter((name) => /^[0-9a-f]{40}$/.test(name));
  const path = join(instances, '_base', base);
  t.equal(md5sum(path), md5sum(image.raw));
  for (const step of ['fetch start', 'inspect done', 'convert done', 'verify done']) t.match(stdout, step);
  // One chunk holds it all.
  t.match(stdout, `\n${md5sum(path)} ${digestOf('md5sum', image.raw)}\n`);
  t.match(stdout, `\n100 disks on ${image.size} bytes of base\n`);
  t.match(stdout, `${image.size} of ${image.size} bytes`);

  const map = JSON.parse(qemuImg('map', '--output=json', '-f', 'qcow2', join(instances, 'vm-0', 'disk'))) as {
    start: number;
    length: number;
    depth: number;
    zero: boolean;
    present: boolean;
  }[];
  const ours = [...stdout.matchAll(/^(\d+) (\d+) (data|zero|compressed|unallocated) (\d+)$/gm)];
  t.equal(ours.length, map.length);
  t.strictSame(
    ours.map(([, start, length, , depth]) => [start, length, depth].map(Number)),
    map.map(({ start, length, depth }) => [start, length, depth]),
  );
  for (const number of [0, 41, 99]) {
    const info = JSON.parse(qemuImg('info', '--output=json', join(instances, `vm-${number}`, 'disk')));
    t.match(info, {
      'virtual-size': 20 * 2 ** 30,
      'backing-filename': path,
      'backing-filename-format': 'raw',
    });
  }
  t.match(qemuImg('compare', '-f', 'raw', path, join(instances, 'export.qcow2')), /identical/);
});
