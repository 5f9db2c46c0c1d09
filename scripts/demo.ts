// npm run demo [-- IMAGE]: from a cloud image to a bootable instance disk, with times per step.
// IMAGE: a path or URL of your own image; without it one is made here and served over HTTP on loopback.
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BOOT_MARKER, boot } from '../test/support/bootDisk.js';
import { md5sum, run } from '../test/support/tools.js';
import { makeCloudImage } from './demo/cloudImage.js';
import { serveImage } from './demo/imageServer.js';

const BASECOW = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const given = process.argv[2];
const times: [what: string, seconds: number][] = [];

const folder = fs.mkdtempSync(join(process.env.BASECOW_DEMO_DIR ?? tmpdir(), 'basecow-demo-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

function title(text: string): void {
  console.log(`\n\u2500\u2500 ${text}`);
}

async function timed<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const start = process.hrtime.bigint();
  const result = await work();
  times.push([what, Number(process.hrtime.bigint() - start) / 1e9]);
  return result;
}

/** Runs basecow as an operator would, its output straight on this terminal (the server here must keep running). */
async function basecow(...words: string[]): Promise<void> {
  console.log(`$ basecow ${words.map((word) => (/[\s'"]/.test(word) ? `'${word}'` : word)).join(' ')}`);
  const child = spawn(process.execPath, [BASECOW, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((exited) => child.on('exit', exited));
  if (status !== 0) throw new Error(`basecow ${words[0]} exited with ${status}`);
}

title('The image');
let source = given;
let server: Awaited<ReturnType<typeof serveImage>> | undefined;
const digests: string[] = [];
if (!source) {
  const image = await timed('make a cloud image of real files (not part of the job)', () =>
    makeCloudImage(folder),
  );
  server = await serveImage(image);
  source = server.url;
  digests.push('--md5', md5sum(image), '--sha512', run('sha512sum', [image]).split(' ')[0]);
  console.log(`${image}: ${fs.statSync(image).size} bytes, served at ${source}`);
  await basecow('inspect', '-f', 'qcow2', image);
  await basecow('hash', '-a', 'md5', image);
}

const instances = join(folder, 'instances');
const provision = (name: string, ...more: string[]): Promise<void> =>
  basecow(
    ...['provision', '--image-id', 'demo-image', '--source', source as string, ...digests, '--size', '20G'],
    ...['--instances', instances, '--instance', name, ...more],
  );

title('First instance: fetch, verify, inspect, convert, overlay');
await timed('first instance (cold cache)', () => provision('vm-1', '--resize', 'overlay'));
title('Second instance: the base is there');
await timed('second instance (warm cache)', () => provision('vm-2', '--resize', 'overlay'));
title('Third instance, on a base grown to 20 GiB as Nova does it');
await timed('third instance (resized base)', () => provision('vm-3', '--resize', 'base'));
server?.close();

title('What there is now');
await basecow('cache', 'list', '--instances', instances);
const disk = join(instances, 'vm-1', 'disk');
await basecow('info', '--backing-chain', disk);

title("A second opinion: qemu-img's");
run('qemu-img', ['check', '-q', disk]);
console.log('qemu-img check: no errors');
if (!given) {
  // The overlay is larger than the image; what lies beyond reads as zeros, which compare allows.
  console.log(
    run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'qcow2', join(folder, 'cloud.qcow2'), disk]).trim(),
  );
}

title('Boot');
const hasQemu = spawnSync('qemu-system-x86_64', ['--version']).status === 0;
if (!hasQemu) {
  console.log(
    '!!! NOT BOOTED: qemu-system-x86_64 is not installed (Debian: apt-get install qemu-system-x86) !!!',
  );
} else if (given) {
  console.log('!!! NOT BOOTED: only the disk made by this demo prints a marker to wait for !!!');
} else {
  const base = fs.readdirSync(join(instances, '_base')).find((name) => /^[0-9a-f]{40}$/.test(name)) as string;
  const before = md5sum(join(instances, '_base', base));
  const said = await timed('boot the overlay (software emulation)', () => boot(disk));
  if (!said.includes(BOOT_MARKER)) throw new Error(`the disk did not boot: ${said}`);
  if (md5sum(join(instances, '_base', base)) !== before) throw new Error('the base image changed');
  const own = JSON.parse(run('qemu-img', ['map', '--output=json', '-U', disk])) as {
    depth: number;
    data: boolean;
  }[];
  if (!own.some((extent) => extent.depth === 0 && extent.data)) throw new Error('the overlay holds nothing');
  console.log(
    `serial console: ${BOOT_MARKER}; the guest wrote to its overlay, the base is unchanged (md5 ${before})`,
  );
}

title('Times');
for (const [what, seconds] of times) console.log(`${seconds.toFixed(3).padStart(9)} s  ${what}`);
