import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { native } from '#src/native.js';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** The line of `--version` on MD5 when BASECOW_MD5 has this value. */
function shown(value: string | undefined): string {
  const { BASECOW_MD5: _, ...env } = process.env;
  if (value !== undefined) env.BASECOW_MD5 = value;
  const text = execFileSync(process.execPath, [cli, '--version'], { encoding: 'utf8', env });
  return /md5 kernel: (.*)/.exec(text)?.[1] ?? text;
}

t.test('--version says which MD5 kernels are in use', async (t) => {
  t.match(shown(undefined), /^[a-z0-9 ]+ \(one stream\), [a-z0-9 ]+ \(many\)$/);
  t.equal(shown(''), shown(undefined), 'an empty value is none');
  t.equal(shown('portable'), 'portable (one stream), portable 3 (many)');
  t.match(native.engineInfo().md5, / \(one stream\), /);
});

t.test('a name that is unknown is passed over, and said so', async (t) => {
  t.equal(shown('sse9'), `${shown(undefined)}; BASECOW_MD5=sse9 is unknown or cannot run here`);
});
