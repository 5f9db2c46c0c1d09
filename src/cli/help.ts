import { absentVerbs } from './verbs.js';

interface VerbHelp {
  usage: string;
  /** What it does, one sentence. */
  about: string;
  options: readonly (readonly [words: string, meaning: string])[];
}

const IMAGE: VerbHelp['options'] = [
  ['-f, --format FMT', 'format of FILE (default: probed)'],
  ['--image-opts', 'FILE is driver=FMT,file.filename=PATH'],
  ['-U, --force-share', 'open without image locks'],
];
const OUTPUT: VerbHelp['options'] = [['--output human|json', 'how to print']];
const PROGRESS: VerbHelp['options'] = [
  ['-p, --progress [json]', 'show progress; json: one object a line on stderr'],
  ['-q, --quiet', 'print nothing but errors'],
];
const PRIORITY: VerbHelp['options'] = [
  ['--io-priority CLASS', 'idle, best-effort or best-effort:0 to best-effort:7, as with ionice'],
  ['--nice N', 'let others have the processor first: 0 to 19'],
];

const helps: Readonly<Record<string, VerbHelp>> = {
  amend: {
    usage: '-o OPTS [-f FMT | --image-opts] [-t CACHE] [--force] [-p] [-q] FILE',
    about: 'Changes options of an existing image.',
    options: [
      ['-o, --options OPTS', 'NAME=VALUE,...; -o help lists them'],
      ['-f, --format FMT', 'format of FILE (default: probed)'],
      ['--image-opts', 'FILE is driver=FMT,file.filename=PATH'],
      ['-t, --cache MODE', 'cache mode of writing (default: writeback)'],
      ['--force', 'accepted; it is for key slots of encrypted images'],
      ...PROGRESS,
    ],
  },
  'bench-vs': {
    usage: '[--rival PATH] [--dir DIR] [--size SIZE] [--rounds N] [--output human|json] [-q]',
    about:
      'Measures basecow against qemu-img on this machine, with a disk made up for it. The one verb that runs other programs.',
    options: [
      ['--rival PATH', 'the qemu-img to measure against (default: the one in PATH)'],
      ['--dir DIR', 'where to measure; nothing is left there (default: the folder for temporary files)'],
      ['--size SIZE', 'of the disk, a multiple of 1M (default: 256M); up to eight times as much is needed'],
      ['--rounds N', 'rounds of each row that count (default: 3)'],
      ...OUTPUT,
      ['-q, --quiet', 'no line for each row on stderr'],
    ],
  },
  bitmap: {
    usage:
      '(--add [-g SIZE] | --remove | --clear | --enable | --disable | --merge SOURCE)... [-b FILE [-F FMT]] ' +
      '[-f FMT | --image-opts] FILE BITMAP',
    about: 'Changes a persistent bitmap of an image; several actions are done in order.',
    options: [
      ['-f, --format FMT', 'format of FILE (default: probed)'],
      ['--image-opts', 'FILE is driver=FMT,file.filename=PATH'],
      ['--add', 'make BITMAP, which then follows what is written'],
      ['-g, --granularity SIZE', 'with --add: guest bytes per bit (default: the cluster size, 4k to 64k)'],
      ['--remove, --clear', 'delete BITMAP; forget what it holds'],
      ['--enable, --disable', 'let it follow what is written, or not'],
      ['--merge SOURCE', 'add what the bitmap SOURCE holds'],
      ['-b, --source-file FILE', 'the image that SOURCE is in (default: the same)'],
      ['-F, --source-format FMT', 'format of that image (default: probed)'],
    ],
  },
  cache: {
    usage: 'list|verify|remove --instances DIR [options]',
    about: 'Lists, verifies or removes base images of the cache. What is in use is never removed.',
    options: [
      ['--image-id ID, --key SHA1', 'verify, remove: this image'],
      ['--unused', 'remove: everything that no disk in DIR uses'],
      ['--older-than AGE', 'remove: not what was used in the last 24h, 7d, ...'],
      ['--dry-run', 'remove: only say what would be removed'],
      ...OUTPUT,
      ['-p, --progress [json]', 'verify: show progress'],
    ],
  },
  check: {
    usage: '[-f FMT | --image-opts] [-r leaks|all] [-T CACHE] [-U] [-q] [--output human|json] FILE',
    about:
      'Checks the consistency of an image. Exit 0 good, 1 not checked, 2 corrupt, 3 leaks, 63 format has no check.',
    options: [
      ...IMAGE,
      ['-r, --repair leaks|all', 'repair counts that are too high, or everything that can be repaired'],
      ['-T, --cache MODE', 'cache mode of reading'],
      ['-q, --quiet', 'no report'],
      ...OUTPUT,
    ],
  },
  commit: {
    usage: '[-f FMT | --image-opts] [-t CACHE] [-b BASE] [-d] [-r RATE] [-p] [-q] FILE',
    about: 'Puts what an overlay holds into its backing file, and empties the overlay.',
    options: [
      ['-f, --format FMT', 'format of FILE (default: probed)'],
      ['--image-opts', 'FILE is driver=FMT,file.filename=PATH'],
      ['-t, --cache MODE', 'cache mode of writing (default: writeback)'],
      ['-b, --base BASE', 'commit all layers above BASE, an image of the chain, into it; implies -d'],
      ['-d, --drop', 'leave the overlay as it is'],
      ['-r, --rate-limit RATE', 'write at most RATE bytes of data a second, such as 100M'],
      ...PROGRESS,
    ],
  },
  compare: {
    usage: '[-f FMT] [-F FMT] [--image-opts] [-s] [-T CACHE] [-U] [-p] [-q] FILE1 FILE2',
    about:
      'Compares what the guest would see. Exit 0 same, 1 differ, 2 open failed, 3 map failed, 4 read failed.',
    options: [
      ['-f, --a-format FMT', 'format of FILE1 (default: probed)'],
      ['-F, --b-format FMT', 'format of FILE2 (default: probed)'],
      ['--image-opts', 'the files are driver=FMT,file.filename=PATH'],
      ['-s, --strict', 'sizes and allocation must agree too'],
      ['-T, --cache MODE', 'cache mode of reading'],
      ['-U, --force-share', 'open without image locks'],
      ...PROGRESS,
    ],
  },
  convert: {
    usage: '[options] SRC... DST',
    about: 'Copies the guest disk of SRC (several: one after another) into the new image DST.',
    options: [
      ['-f, --source-format FMT', 'format of the sources (default: probed)'],
      ['--image-opts', 'the sources are driver=FMT,file.filename=PATH'],
      ['-T, --source-cache MODE', 'cache mode of reading (default: writeback)'],
      [
        '-l, --snapshot SNAPSHOT',
        'read this internal snapshot: ID, name, or snapshot.id=ID,snapshot.name=NAME',
      ],
      ['-U, --force-share', 'open the sources without image locks'],
      ['--salvage', 'what cannot be read becomes zeros'],
      ['-O, --target-format FMT', 'format of DST (default: raw)'],
      ['-o, --target-format-options OPTS', 'NAME=VALUE,... for the new image; -o help lists them'],
      ['-t, --target-cache MODE', 'cache mode of writing (default: unsafe, no sync)'],
      ['-B, --backing FILE', 'DST is an overlay of FILE; only the own layer of SRC is copied'],
      ['-F, --backing-format FMT', 'format of the backing file'],
      ['-c, --compress', 'compress every cluster'],
      [
        '--compression-level N',
        'with -c: zlib 1 (fast) to 9 (small), zstd 1 to 19; 0: the default, made for VM images',
      ],
      ['-r, --rate-limit RATE', 'copy at most RATE bytes of data a second, such as 100M'],
      ...PRIORITY,
      ['-S, --sparse-size SIZE', 'runs of zeros of this size become holes (default 4k; 0: allocate all)'],
      ['-n, --no-create', 'write into the existing image DST'],
      ['--target-is-zero', 'with -n: DST reads as zeros already'],
      ['--target-image-opts', 'with -n: DST is driver=FMT,file.filename=PATH'],
      ['-m, --parallel N', 'threads, 1 to 16'],
      ['--bitmaps', 'copy persistent bitmaps too'],
      ['--skip-broken-bitmaps', 'with --bitmaps: leave inconsistent ones out'],
      ['-W, --oob-writes', 'accepted; the engine always works at several places'],
      ['-C, --copy-range-offloading', 'let the kernel copy or share blocks'],
      ...PROGRESS,
    ],
  },
  create: {
    usage: '[-f FMT] [-b BACKING -F BFMT] [-u] [-o OPTS] [-q] FILE [SIZE]',
    about: 'Makes a new image.',
    options: [
      ['-f, --format FMT', 'format (default: raw)'],
      ['-b, --backing FILE', 'base image, relative to the directory of the new one'],
      ['-F, --backing-format FMT', 'format of the base image'],
      ['-u, --backing-unsafe', 'do not look at the base image'],
      ['-o, --options OPTS', 'NAME=VALUE,...; -o help lists them'],
      ['-q, --quiet', 'print nothing but errors'],
    ],
  },
  dd: {
    usage: '[-f FMT | --image-opts] [-O FMT] [-U] [bs=SIZE] [count=N] [skip=N] if=FILE of=FILE',
    about: 'Copies a stretch of a guest disk into a new image.',
    options: [
      ['if=FILE, of=FILE', 'from and to; the new image replaces what was there'],
      ['bs=SIZE', 'bytes of a block (default: 512)'],
      ['skip=N', 'begin N blocks into the disk'],
      ['count=N', 'end N blocks from the beginning of the disk, as qemu-img 7.2 counts'],
      ['-f, --format FMT', 'format of the source (default: probed)'],
      ['--image-opts', 'the source is driver=FMT,file.filename=PATH'],
      ['-O, --output-format FMT', 'format of the new image (default: raw)'],
      ['-U, --force-share', 'open the source without image locks'],
    ],
  },
  hash: {
    usage:
      '[-a ALGORITHM[,...]] [--chunk SIZE [--whole]] [--guest [-f FMT] | --blkhash] [--output FORMAT] [-p] FILE...\n' +
      '-c [--file FILE] [LIST...]\n' +
      '--repair-list LIST [--output plain|json] FILE',
    about: 'Prints digests as md5sum does, or verifies lists of them. - is standard input.',
    options: [
      ['-a, --algorithm NAME[,...]', 'md5 (default), sha1, sha256, sha512, sha3-256, blake2b512, ...'],
      ['--chunk SIZE', 'a digest of every chunk; etag: the part size'],
      ['--whole', 'with --chunk: of the whole file too, in the same pass'],
      ['--guest', 'digest what the guest would read, whatever the format'],
      ['--blkhash', "the guest's block hash, as blksum has it (default sha256)"],
      ['--block-size SIZE', 'with --blkhash: bytes per block (default 64k)'],
      ['-f, --format FMT', 'with --guest, --blkhash: format of FILE (default: probed)'],
      ['-l, --snapshot SNAPSHOT', 'with --guest, --blkhash: read this internal snapshot'],
      ['--output plain|json', "md5sum's lines, with --chunk md5deep's; or JSON"],
      ['--output hashdeep|dfxml', "hashdeep's audit file (default md5,sha256); DFXML as md5deep -d has it"],
      ['--output etag', 'the ETag that S3 gives it; as the AWS command line uploads without --chunk'],
      ['--output bmap', 'which blocks hold data, for bmaptool (default sha256)'],
      ['-c, --check', 'FILE is a list in any of these formats: verify it, with --blkhash of block hashes'],
      ['--file FILE', 'with -c: verify FILE by what the list says of it'],
      ['-q, --quiet', 'with -c: no line for files that are right'],
      ['--status', 'with -c: nothing but the exit code'],
      ['--strict', 'with -c: a malformed line is a failure'],
      ['--ignore-missing', 'with -c: files that are not there are no failure'],
      ['-w, --warn', 'with -c: a line about every malformed one'],
      ['--repair-list LIST', 'START-END of what FILE has wrong. Exit 0 nothing, 1 some, 2 error'],
      ['--rate-limit RATE', 'read at most RATE bytes of data a second, such as 100M'],
      ...PRIORITY,
      ['-T, --source-cache MODE', 'cache mode of reading'],
      ['-U, --force-share', 'with --guest: open without image locks'],
      ['-p, --progress [json]', 'show progress; json: one object a line on stderr'],
    ],
  },
  info: {
    usage: '[-f FMT | --image-opts] [--backing-chain] [-U] [--output human|json] FILE',
    about: 'Tells what an image says of itself.',
    options: [...IMAGE, ['--backing-chain', 'every layer, top first'], ...OUTPUT],
  },
  inspect: {
    usage: '[-f FMT] [--size SIZE] [--strict] [--output human|json] FILE',
    about: 'Judges an untrusted image. Exit 0 safe, 1 unsafe, 2 unreadable.',
    options: [
      ['-f, --format FMT', 'what the image is claimed to be'],
      ['--size SIZE', 'largest virtual size that is allowed'],
      ['--strict', 'doubts count as violations'],
      ...OUTPUT,
    ],
  },
  map: {
    usage: '[-f FMT | --image-opts] [-s OFFSET] [-l LENGTH] [-U] [--output human|json] FILE',
    about: 'Lists which guest ranges lie where.',
    options: [
      ...IMAGE,
      ['-s, --start-offset OFFSET', 'first guest byte'],
      ['-l, --max-length LENGTH', 'bytes from there'],
      ...OUTPUT,
    ],
  },
  measure: {
    usage:
      '[-O FMT] [-o OPTS] [--output human|json] (--size SIZE | [-f FMT | --image-opts] [-l SNAPSHOT] [-U] FILE)',
    about: 'Tells how large a new image would be.',
    options: [
      ['-O, --target-format FMT', 'format of the new image (default: raw)'],
      ['-o, --options OPTS', 'its options, NAME=VALUE,...'],
      ['-s, --size SIZE', 'virtual size of an empty one'],
      ['-l, --snapshot SNAPSHOT', 'measure this internal snapshot of FILE'],
      ...IMAGE,
      ...OUTPUT,
    ],
  },
  provision: {
    usage: '--image-id ID --source PATH|URL --size SIZE --instances DIR --instance NAME [options]',
    about: 'Puts a bootable instance disk on a cached, verified base image.',
    options: [
      ['--image-id ID', 'names the image in the cache: any text, such as its UUID'],
      ['--source PATH|URL', 'file, or http or https address, of the image (raw, qcow2, iso)'],
      [
        '--size SIZE',
        'size of the disk; larger images are refused before they are fetched. 0: size of the image',
      ],
      ['--instances DIR', "folder of the instances; the cache is DIR/_base, as Nova's"],
      ['--instance NAME', 'the disk is DIR/NAME/disk'],
      ['--source-format FMT', 'what the source is claimed to be (default: decided by content)'],
      ['--md5 HEX', 'digest that the source must have'],
      ['--sha256 HEX, --sha512 HEX', 'the same; all that are given are verified'],
      ['--image-type qcow2|raw', 'kind of the instance disk: overlay (default) or copy'],
      ['--resize base|overlay', 'what gets the size: a copy of the base, or the disk only (default)'],
      ['--rate-limit RATE', 'fetch and write at most RATE bytes a second, such as 100M'],
      ...PRIORITY,
      ...OUTPUT,
      ['-p, --progress [json]', 'show progress; json: one object a line on stderr'],
      ['-q, --quiet', 'print only the path of the disk'],
    ],
  },
  rebase: {
    usage: '[-f FMT | --image-opts] [-t CACHE] [-T CACHE] [-U] [-u] [-p] [-q] [-b BACKING [-F FMT]] FILE',
    about: 'Gives an overlay another backing file. Unless -u, the guest reads the same as before.',
    options: [
      ['-f, --format FMT', 'format of FILE (default: probed)'],
      ['--image-opts', 'FILE is driver=FMT,file.filename=PATH'],
      ['-b, --backing BACKING', "the new backing file, relative to FILE's directory; '': none"],
      ['-F, --backing-format FMT', 'its format'],
      ['-u, --backing-unsafe', 'change the name only, copy nothing and open no other file'],
      ['-t, --cache MODE', 'cache mode of writing (default: writeback)'],
      ['-T, --source-cache MODE', 'cache mode of reading (default: writeback)'],
      ['-U, --force-share', 'open the new backing file without image locks'],
      ...PROGRESS,
    ],
  },
  resize: {
    usage: '[-f FMT | --image-opts] [--preallocation MODE] [--shrink] [-q] FILE [+|-]SIZE',
    about: 'Gives an image another virtual size.',
    options: [
      ['-f, --format FMT', 'format of FILE (default: probed, with a warning for raw)'],
      ['--image-opts', 'FILE is driver=FMT,file.filename=PATH'],
      ['--preallocation MODE', 'off, metadata, falloc or full, of what is added'],
      ['--shrink', 'allow a smaller size: what lies beyond is lost'],
      ['-q, --quiet', 'print nothing but errors'],
    ],
  },
  snapshot: {
    usage: '[-f FMT | --image-opts] [-U] [-q] [-l | -c NAME | -a SNAPSHOT | -d NAME] FILE',
    about: 'Lists, makes, applies or deletes internal snapshots.',
    options: [
      ['-l, --list', 'list them'],
      ['-c, --create NAME', 'make one of what the disk holds now'],
      ['-a, --apply SNAPSHOT', 'give the disk back what it held then; ID or name'],
      ['-d, --delete NAME', 'delete the first of this name'],
      ...IMAGE,
      ['-q, --quiet', 'print nothing but errors'],
    ],
  },
};

const COLUMN = 36;

/** Help of one verb, or with '' (or a verb that is none) of the program. */
export function helpText(programName: string, verb: string): string {
  const help = Object.hasOwn(helps, verb) ? helps[verb] : undefined;
  return help ? verbHelp(programName, verb, help) : programHelp(programName);
}

function verbHelp(programName: string, verb: string, { usage, about, options }: VerbHelp): string {
  const lines = options.map(([words, meaning]) => `  ${words.padEnd(COLUMN - 3)} ${meaning}\n`);
  const call = `${programName} ${verb} `;
  const calls = usage.split('\n').map((words) => call + words);
  return `usage: ${calls.join('\n       ')}\n${about}\n\n${lines.join('')}${'  -h, --help'.padEnd(COLUMN)}this help\n`;
}

function programHelp(programName: string): string {
  const lines = Object.entries(helps).map(
    ([verb, { about }]) => `  ${verb.padEnd(10)} ${about.split('. ', 1)[0].replace(/\.$/, '')}\n`,
  );
  return (
    `usage: ${programName} [-h | --help] [-V | --version] [-T | --trace EVENTS] COMMAND [options]\n` +
    "Disk images of virtual machines: qemu-img's words, and some of its own.\n\n" +
    `Commands (${programName} COMMAND --help tells more):\n${lines.join('')}\n` +
    'Sizes: bytes, or with k, M, G, T, P, E powers of 1024, such as 1.5G.\n' +
    'Cache modes: none, writeback, writethrough, directsync, unsafe.\n' +
    `Not yet supported: ${absentVerbs.join(', ')}.\n\n` +
    'Supported formats: raw qcow2\n'
  );
}
