// `bitmap` and `convert --bitmaps` beside qemu-img: words, exit codes, what is listed, and every bit.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { bitmapMap } from '../support/bitmapMap.js';
import { run, tryRun } from '../support/tools.js';
import { Twins } from '../support/twins.js';

/** Marks the first bitmap of an image without a backing file as in use. */
function breakFirst(path: string): void {
  const bytes = readFileSync(path);
  let at = bytes.readUInt32BE(100);
  while (bytes.readUInt32BE(at) !== 0x23852875) at += 8 + ((bytes.readUInt32BE(at + 4) + 7) & ~7);
  const directory = Number(bytes.readBigUInt64BE(at + 24));
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([bytes[directory + 15] | 1]), 0, 1, directory + 15);
  closeSync(fd);
}

function make(dir: string): void {
  const img = (...args: string[]) => run('qemu-img', args, { cwd: dir });
  const io = (file: string, ...commands: string[]) =>
    run('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), file], { cwd: dir });
  const create = (file: string, ...options: string[]) =>
    img('create', '-q', '-f', 'qcow2', ...options, file, '10M');
  create('a');
  create('v2', '-o', 'compat=0.10');
  img('create', '-q', '-f', 'raw', 'r.raw', '10M');
  img('create', '-q', '-f', 'qcow2', 'big', '20M');
  img('bitmap', '--add', 'big', 'big');
  create('o', '-b', 'a', '-F', 'qcow2');
  create('lost', '-u', '-b', 'nowhere', '-F', 'qcow2');
  for (const [file, options] of [
    ['w', 'cluster_size=64k'],
    ['small', 'cluster_size=512'],
  ]) {
    create(file, '-o', options);
    img('bitmap', '--add', file, 'b1');
    img('bitmap', '--add', '-g', '4k', file, 'b2');
    io(file, 'write -q 1M 200k', 'write -q 9M 1M', 'write -q 5001k 3k');
    img('bitmap', '--add', '-g', '512', file, 'b3');
    io(file, 'write -q 64k 1k', 'write -q 3M 2k');
    img('bitmap', '--disable', file, 'b2');
    img('bitmap', '--add', '-g', '2M', file, 'b4');
  }
  img('convert', '--bitmaps', '-O', 'qcow2', 'w', 'broken');
  breakFirst(join(dir, 'broken'));
  create('existing');
  img('create', '-q', '-f', 'qcow2', 'larger', '12M');
}

const twins = new Twins(t, make);
const long = 'n'.repeat(1024);

await twins.table(t, [
  'bitmap',
  'bitmap a',
  'bitmap a x',
  'bitmap --add',
  'bitmap --add a',
  'bitmap --add a b c',
  'bitmap --add -F raw x',
  'bitmap --add -g 64k a x => a qcow2',
  'bitmap --add a x',
  'bitmap -g 1k --clear a x',
  'bitmap --add -g 3k a y',
  'bitmap --add -g 256 a y',
  'bitmap --add -g 4G a y',
  'bitmap --add -g foo a y',
  'bitmap --add -g 0 a zz => a qcow2',
  'bitmap --add -g 512 a zzz => a qcow2',
  'bitmap --add -g 2G a gg => a qcow2',
  'bitmap --remove a nope',
  'bitmap --clear a nope',
  'bitmap --enable a nope',
  'bitmap --disable a nope',
  'bitmap --merge nope a x',
  'bitmap --merge x a nope',
  'bitmap --merge x a x => a qcow2',
  'bitmap --merge big -b big a x',
  'bitmap --merge big -b nope a x',
  'bitmap --merge big -b big -F raw a x',
  'bitmap -F raw --merge big a x',
  'bitmap -b big --add a x',
  'bitmap --add nope x',
  'bitmap --disable a x => a qcow2',
  'bitmap --disable a x',
  'bitmap --enable a x => a qcow2',
  'bitmap --add --disable a w => a qcow2',
  'bitmap --add --remove --add a u => a qcow2',
  'bitmap --remove --clear a u => a qcow2',
  `bitmap --add a ${long.slice(1)} => a qcow2`,
  "bitmap --add a ''",
  'bitmap --add o k',
  'bitmap --add lost k',
  'bitmap --image-opts --add driver=qcow2,file.filename=a im => a qcow2',
  'bitmap --image-opts -f qcow2 --add driver=qcow2,file.filename=a im2',
  'bitmap --add --foo a im',
  'bitmap --merge',
  'bitmap --add --object foo a gg',
  'bitmap -f foo --add a im3',
  'bitmap --clear r.raw x',
  'bitmap --merge x -f raw r.raw x',
  'bitmap --clear broken b1',
  'bitmap --enable broken b1',
  'bitmap --merge b1 broken b2',
  'bitmap --merge b2 broken b1',
  'bitmap --merge b1 -b broken broken b1',
  'bitmap --add broken b1',
  'convert --bitmaps -O qcow2 broken none',
  'convert --bitmaps --skip-broken-bitmaps -O qcow2 broken some => some qcow2',
  'bitmap --add broken new => broken qcow2',
  'bitmap --remove broken b1 => broken qcow2',
  'convert --bitmaps -O raw w out.raw',
  'convert --bitmaps -O qcow2 r.raw out',
  'convert --bitmaps -O qcow2 w w out',
  'convert --skip-broken-bitmaps -O qcow2 w out',
  'convert --bitmaps -O qcow2 w copy => copy qcow2',
  'convert --bitmaps -c -O qcow2 -o cluster_size=4k small packed => packed qcow2',
  'convert -n --bitmaps -O qcow2 w existing => existing qcow2',
  'convert -n --bitmaps -O qcow2 w existing => existing qcow2',
  'convert -n --bitmaps -O qcow2 w larger',
  'convert --bitmaps -l foo -O qcow2 w none',
]);

t.test('names of nodes are the only words that differ', async (t) => {
  for (const words of [
    'bitmap --add v2 x',
    'bitmap --add -f raw r.raw x',
    'bitmap --add r.raw x',
    `bitmap --add a ${long}`,
  ]) {
    const { theirs, ours } = await twins.both(words.split(' '));
    const plain = (text: string) => text.replace(/#block\d+/, '#block');
    t.strictSame({ ...ours, stderr: plain(ours.stderr) }, { ...theirs, stderr: plain(theirs.stderr) }, words);
  }
});

t.test('every bit', async (t) => {
  const all = ['b1', 'b2', 'b3', 'b4'];
  for (const file of ['copy', 'packed', 'existing']) sameBits(t, file, all);
  for (const [words, file] of [
    ['bitmap --merge b2 w b1', 'w'],
    ['bitmap --merge b1 w b3', 'w'],
    ['bitmap --merge b3 w b4', 'w'],
    ['bitmap --clear --merge b4 --disable w b2', 'w'],
    ['bitmap --add -g 8k --merge b1 --merge b3 w sum', 'w'],
    ['bitmap --merge b3 -b small w sum', 'w'],
    ['bitmap --merge b2 small b3', 'small'],
    ['bitmap --merge b3 small b1', 'small'],
    ['bitmap --merge b3 -b w small b2', 'small'],
    ['bitmap --clear small b3', 'small'],
    ['bitmap --remove small b1', 'small'],
  ]) {
    await twins.table(t, [`${words} => ${file} qcow2`]);
    const names = words.split(' ').at(-1) === 'b1' && /remove/.test(words) ? [] : [words.split(' ').at(-1)!];
    sameBits(t, file, names);
  }
  sameBits(t, 'w', ['b1', 'b2', 'b3', 'b4', 'sum']);
  sameBits(t, 'small', ['b2', 'b3', 'b4']);
});

function sameBits(t: Test, file: string, names: readonly string[]): void {
  for (const name of names) {
    const [theirs, ours] = twins.dirs.map((dir) => bitmapMap(join(dir, file), name));
    t.same(ours, theirs, `${file}: ${name}`);
  }
}

t.test('bitmaps that we made follow the writes of others', (t) => {
  const [theirs, ours] = twins.dirs;
  for (const dir of [theirs, ours]) {
    const wrote = tryRun('qemu-io', ['-f', 'qcow2', '-c', 'write -q 2M 70k', 'a'], { cwd: dir });
    t.equal(wrote.status, 0);
  }
  sameBits(t, 'a', ['x', 'zz', 'zzz', 'gg']);
  t.end();
});
