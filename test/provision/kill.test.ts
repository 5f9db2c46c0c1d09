// kill -9 at random instants: the next run succeeds, and nothing half-made ever has a final name.
import type { ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { ImageCache } from '#src/provision/index.js';
import { cacheKey } from '#src/provision/names.js';
import { start } from '../support/basecow.js';
import { cloudImage, digestOf, tree } from '../support/cloudImage.js';
import { ImageServer } from '../support/imageServer.js';
import { Random } from '../support/random.js';
import { qemuImg, tryRun } from '../support/tools.js';

const KILLS = 110;
const LANES = 3;
const GiB = 2 ** 30;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const random = new Random(seed);
const dir = t.testdir();
const image = cloudImage(join(dir, 'source'), random, 8 * 2 ** 20, 2 * 2 ** 20);
const sha512 = digestOf('sha512sum', image.path);
const content = fs.readFileSync(image.raw);
const KEY = cacheKey('image');
const FINAL = new RegExp(`^(_base/${KEY}(_1)?|vm/disk|vm/disk\\.info|_base/\\.basecow/${KEY}\\.json)$`);
const PASSING = new RegExp(
  `^(locks/nova-${KEY}|_base/${KEY}\\.(part|converted)|_base/\\.basecow/${KEY}\\.(part\\.)?json(\\.tmp)?|vm/disk\\.info\\.tmp)$`,
);

/** Whatever carries a final name must be whole. Returns what else is there. */
function checkFinals(instances: string): string[] {
  const problems: string[] = [];
  const base = join(instances, '_base', KEY);
  for (const name of tree(instances).filter((entry) => !entry.endsWith('/'))) {
    const path = join(instances, name);
    if (!FINAL.test(name)) {
      if (!PASSING.test(name)) problems.push(`${name} is none of ours`);
    } else if (path === base) {
      if (!fs.readFileSync(path).equals(content)) problems.push('the base is not the image');
      if (!fs.existsSync(join(instances, '_base', '.basecow', `${KEY}.json`)))
        problems.push('base without a record');
    } else if (path === `${base}_1`) {
      const compared = tryRun('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image.raw, path]);
      if (fs.statSync(path).size !== GiB || compared.status !== 0)
        problems.push('the resized base is not whole');
    } else if (name === 'vm/disk') {
      const checked = tryRun('qemu-img', ['check', '-q', path]);
      if (checked.status !== 0) problems.push(`qemu-img check: ${checked.stdout}${checked.stderr}`);
      const formats = JSON.parse(fs.readFileSync(join(instances, 'vm', 'disk.info'), 'utf8'));
      if (formats[path] !== 'qcow2') problems.push('a disk whose format is not on record');
    } else JSON.parse(fs.readFileSync(path, 'utf8'));
  }
  return problems;
}

// A hundred processes take their time on a busy machine.
t.setTimeout(900_000);

t.test(`${KILLS} kills, seed ${seed}`, async (t) => {
  const server = await ImageServer.start(t, fs.readFileSync(image.path), {
    // In pieces, so that kills come in the middle of downloads too.
    handle: async ({ response, request, bytes, serve }) => {
      if (request.headers.range) return serve();
      response.writeHead(200, { etag: '"first"', 'content-length': bytes.length });
      for (let at = 0; at < bytes.length && !response.destroyed; at += bytes.length / 8) {
        response.write(bytes.subarray(at, at + bytes.length / 8));
        await sleep(5);
      }
      response.end();
    },
  });
  const words = (instances: string): string[] => [
    ...['provision', '--image-id', 'image', '--source', server.url, '--sha512', sha512, '--size', '1G'],
    ...['--instances', instances, '--instance', 'vm', '--resize', 'base', '--progress', 'json'],
  ];
  // A run tells its steps on stderr; a kill comes at one of these lines, or some time after it.
  const first = await start(...words(join(dir, 'measure'))).ended;
  t.equal(first.status, 0, first.stderr);
  const events = first.stderr.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  const whole = events.reduce((sum, { ms = 0 }) => sum + ms, 0);
  // What a run still has to tell when there is a base; kills that come too late for it would be no kills.
  const onBase = events.filter(({ step }) => ['lock', 'inspect', 'resize', 'overlay'].includes(step)).length;
  const reached: Record<string, number> = {};
  const after: Record<string, number> = {};
  let killed = 0;

  const killAtRandom = (child: ChildProcess, instances: string): void => {
    const isMade = fs.existsSync(join(instances, '_base', KEY));
    let toGo = random.integer(1, isMade ? onBase : events.length);
    const delay = random.next() < 0.5 ? 0 : (random.next() * whole) / 4;
    child.stderr?.on('data', (text: string) => {
      const before = toGo;
      toGo -= text.split('\n').length - 1;
      if (before > 0 && toGo <= 0) setTimeout(() => child.kill('SIGKILL'), delay);
    });
  };

  /** Kills some runs on one folder, until one gets through or is let through; then goes on with a new folder. */
  const lane = async (number: number): Promise<void> => {
    for (let round = 0; killed < KILLS; round++) {
      const instances = join(dir, `lane${number}-${round}`);
      const kills = random.integer(1, 6);
      for (let attempt = 0; attempt < kills; attempt++) {
        const { child, ended } = start(...words(instances));
        killAtRandom(child, instances);
        const { status, signal, stdout, stderr } = await ended;
        if (signal !== 'SIGKILL') {
          t.equal(status, 0, `lane ${number} round ${round} attempt ${attempt}: ${stderr}`);
          break;
        }
        killed++;
        const problems = checkFinals(instances);
        if (problems.length > 0) t.fail(`after kill ${killed}: ${problems.join('; ')}`);
        const last = stdout.trim().split('\n').at(-1)?.split(' ')[0] || 'nothing';
        count(after, last.startsWith('/') ? 'all' : last);
        for (const name of tree(instances)) count(reached, name.replaceAll(KEY, 'KEY'));
      }
      const cache = new ImageCache({ instances });
      const made = await cache.provision({
        ...{ imageId: 'image', source: server.url, digests: { sha512 }, size: GiB },
        ...{ instance: 'vm', resize: 'base' },
      });
      t.same(checkFinals(instances), [], 'all is whole');
      t.match(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', image.raw, made.disk), 'Images are identical.');
      const left = tree(instances).filter((name) => !name.endsWith('/') && !FINAL.test(name));
      t.same(left, [`locks/nova-${KEY}`], 'nothing is left over');
      fs.rmSync(instances, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, i) => lane(i)));
  t.ok(killed >= KILLS);
  t.comment(`seed ${seed}, ${killed} kills, by the last step done: ${JSON.stringify(after)}`);
  t.comment(`seen after them: ${JSON.stringify(reached)}`);
  t.ok(Object.keys(after).length >= 4, 'kills came at several steps');
});

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}
