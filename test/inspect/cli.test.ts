// basecow inspect: text, JSON and exit codes.
import { writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import t from 'tap';
import { CliError } from '#src/cli/errors.js';
import { run } from '#src/cli/inspect.js';
import { qemuImg } from '../support/tools.js';

const dir = t.testdir();
const good = `${dir}/good.qcow2`;
const overlay = `${dir}/overlay.qcow2`;
qemuImg('create', '-q', '-f', 'qcow2', good, '10M');
qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', '/a\nb', '-F', 'raw', overlay, '1536M');
writeFileSync(`${dir}/empty`, '');

function collector(): { stream: Writable; text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  return { stream, text: () => text };
}

async function inspect(...args: string[]): Promise<{ exit: number; out: string; error?: CliError }> {
  const out = collector();
  const ctx = {
    programName: 'basecow',
    stdout: out.stream,
    stderr: collector().stream,
    signal: new AbortController().signal,
    secrets: new Map(),
  };
  try {
    return { exit: await run(args, ctx), out: out.text() };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { exit: error.exitCode, out: out.text(), error };
  }
}

t.test('a safe image: exit code 0', async (t) => {
  t.same(await inspect('-f', 'qcow2', good), {
    exit: 0,
    out: `${good}: safe
claimed format: qcow2
detected format: qcow2 (QFI magic at byte 0, version 3)
virtual size: 10 MiB (10485760 bytes)
`,
  });
});

t.test('an unsafe image: exit code 1, every violation, untrusted text on one line', async (t) => {
  t.same(await inspect('--format=raw', overlay, '--size', '1G'), {
    exit: 1,
    out: `${overlay}: unsafe
claimed format: raw
detected format: qcow2 (QFI magic at byte 0, version 3)
virtual size: 1.5 GiB (1610612736 bytes)
backing file: '/a\\u{a}b'
violations:
    format-mismatch: the image is claimed to be raw, but its content is qcow2: QFI magic at byte 0, version 3
    backing-file: the image has a backing file (its name is at byte 528)
    virtual-size: virtual size of 1610612736 bytes exceeds the limit of 1073741824
`,
  });
});

t.test('JSON has fixed keys', async (t) => {
  const unsafe = await inspect('--output=json', '-f', 'raw', overlay);
  t.equal(unsafe.exit, 1);
  t.match(unsafe.out, /^\{\n {4}"filename": /);
  const verdict = JSON.parse(unsafe.out);
  t.same(Object.keys(verdict), [
    'filename',
    'safe',
    'claimed',
    'detected',
    'reason',
    'formats',
    'file-size',
    'virtual-size',
    'backing-filename',
    'violations',
    'warnings',
  ]);
  t.equal(verdict['backing-filename'], '/a\nb');
  t.same(
    verdict.violations.map(({ code }: { code: string }) => code),
    ['format-mismatch', 'backing-file'],
  );
  const empty = await inspect('--output', 'json', `${dir}/empty`);
  t.equal(empty.exit, 1);
  t.match(JSON.parse(empty.out), { safe: false, detected: null, violations: [{ code: 'empty' }] });
});

t.test('no verdict: exit code 2', async (t) => {
  const cases: [args: string[], message: RegExp][] = [
    [[`${dir}/none`], /^Could not open '.*none': .*No such file or directory/],
    [[dir], /to be a regular file/],
    [['-f', 'floppy', good], /^Unknown image format 'floppy' \(the inspector knows: raw, .*ploop/],
    [['--output', 'xml', good], /^--output must be used with human or json/],
    [['--size', 'ten', good], /^Invalid image size specified/],
    [['--frobnicate', good], /^unrecognized option '--frobnicate'/],
    [[], /^Expecting one image file name/],
    [[good, overlay], /^Expecting one image file name/],
  ];
  for (const [args, message] of cases) {
    const { exit, out, error } = await inspect(...args);
    t.equal(exit, 2, args.join(' '));
    t.equal(out, '');
    t.match(error?.message, message);
  }
});
