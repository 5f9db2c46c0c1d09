import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Entry, program } from '../entry.js';
import { BASECOW, run } from '../programs.js';

const GiB = 2 ** 30;

/**
 * The steps of an agent that has no basecow, in one shell: `$0` folder, `$1` image, `$2` sha512, `$3` size in GiB.
 * Base and overlay are synced, as basecow syncs them.
 */
const COLD = `set -e; b="$0/base"
cp --sparse=auto "$1" "$b.part"
[ "$(sha512sum "$b.part" | cut -d' ' -f1)" = "$2" ]
qemu-img info --output=json "$b.part" >/dev/null
qemu-img convert -t writeback -f qcow2 -O raw "$b.part" "$b.converted"
qemu-img info -f raw --output=json "$b.converted" >/dev/null
sync "$b.converted"; mv "$b.converted" "$b"; rm "$b.part"`;
const WARM = `set -e; b="$0/base"; o="$0/disk"
qemu-img info -f raw --output=json "$b" >/dev/null
qemu-img create -q -f qcow2 -b "$b" -F raw "$o" "$3G"; sync "$o"`;

/** Compressed cloud image in a file → verified raw base → overlay. */
export function provisionCases(bench: Bench): Entry[] {
  const { inputs } = bench;
  const image = inputs.path('zlib');
  const folder = inputs.scratch('provision');
  const size = Math.ceil((2 * inputs.virtualSize) / GiB);
  let sha512 = '';
  const words = (instance: string): string[] => [
    ...BASECOW,
    'provision',
    ...['-q', '--image-id', 'bench', '--source', image, '--source-format', 'qcow2', '--sha512', sha512],
    ...['--size', `${size}G`, '--instances', folder, '--instance', instance, '--resize', 'overlay'],
  ];
  const steps = (script: string) => program(bench, 'bash', '-c', script, folder, image, sha512, String(size));
  const fresh = (): void => {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder);
    run('sync');
  };
  const common = {
    group: 'Provision',
    cache: 'warm',
    durability: 'base and overlay synced',
    setUp: () => {
      inputs.make('zlib');
      sha512 = run('sha512sum', image).split(' ')[0];
      fresh();
    },
    cleanUp: () => fs.rmSync(folder, { recursive: true, force: true }),
  } as const;
  return [
    {
      ...common,
      id: 'provision-first',
      name: 'first instance of an image, command',
      terms: 'image in a local file, sha512 verified; whole processes',
      ours: { name: 'basecow provision', before: fresh, work: () => program(bench, ...words('vm'))() },
      rivals: [
        {
          name: 'cp, sha512sum, qemu-img info, convert, create',
          before: fresh,
          work: () => steps(`${COLD}\n${WARM}`)(),
        },
      ],
    },
    {
      ...common,
      id: 'provision-next',
      name: 'next instance of an image, command',
      terms: 'the base is in the cache; whole processes',
      rounds: 11,
      ours: {
        name: 'basecow provision',
        before: async () => {
          if (!fs.existsSync(join(folder, '_base'))) await program(bench, ...words('first'))();
          fs.rmSync(join(folder, 'vm'), { recursive: true, force: true });
        },
        work: () => program(bench, ...words('vm'))(),
      },
      rivals: [
        {
          name: 'qemu-img info, create',
          before: async () => {
            if (!fs.existsSync(join(folder, 'base'))) await steps(COLD)();
            fs.rmSync(join(folder, 'disk'), { force: true });
          },
          work: () => steps(WARM)(),
        },
      ],
      verify: () => {
        run(
          'qemu-img',
          'compare',
          '-f',
          'qcow2',
          '-F',
          'qcow2',
          join(folder, 'vm', 'disk'),
          join(folder, 'disk'),
        );
        return undefined;
      },
    },
  ];
}
