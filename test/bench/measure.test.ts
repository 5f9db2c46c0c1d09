// Programs measured from outside.
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { measureEach, measureHere, ProgramError, ProgramMeter } from '#src/bench/measure.js';

const meter = new ProgramMeter();

t.test('times, memory and output of a program', async (t) => {
  const script = 'a = bytearray(64 << 20); a[::4096] = b"x" * len(a[::4096]); print("done")';
  const ran = await meter.run(['python3', '-c', script]);
  t.equal(ran.stdout, 'done\n');
  t.ok(ran.wall > 0);
  t.ok(ran.cpu! > 0);
  t.ok(ran.peakMemory! >= 64 * 2 ** 20, `${ran.peakMemory} bytes`);
  const small = await meter.run(['true']);
  t.ok(small.peakMemory! < 32 * 2 ** 20, `${small.peakMemory} bytes: not those of this process`);
});

t.test('a program that fails, or is not there, is no measurement', async (t) => {
  await t.rejects(meter.run(['sh', '-c', 'echo because >&2; exit 3']), {
    constructor: ProgramError,
    status: 3,
    message: 'sh -c echo because >&2; exit 3 exited 3: because',
  });
  await t.rejects(meter.run(['no-such-program', 'x']), {
    status: 127,
    message: 'no-such-program is not there',
  });
  await t.rejects(meter.run(['sh', '-c', 'kill -TERM $$']), {
    status: -15,
    message: /was ended by signal 15$/,
  });
});

t.test('without Python only the wall time is measured', async (t) => {
  const { PATH } = process.env;
  const dir = t.testdir({ true: t.fixture('symlink', '/bin/true') });
  t.teardown(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = dir;
  const plain = new ProgramMeter();
  const ran = await plain.run(['true']);
  t.ok(ran.wall > 0);
  t.equal(ran.cpu, undefined);
  t.equal(ran.peakMemory, undefined);
  await t.rejects(plain.run(['nothing']), { status: 127, message: 'nothing is not there' });
});

t.test('an abort kills the program and what it started', async (t) => {
  const dir = t.testdir();
  const controller = new AbortController();
  const running = meter.run(['sh', '-c', `(sleep 1; touch ${dir}/late) & touch ${dir}/early; sleep 60`], {
    signal: controller.signal,
  });
  while (!existsSync(`${dir}/early`)) await setTimeout(10);
  controller.abort(new Error('enough'));
  await t.rejects(running, { message: 'enough' });
  await setTimeout(1500);
  t.notOk(existsSync(`${dir}/late`));
  await t.rejects(meter.run(['true'], { signal: controller.signal }), { message: 'enough' });
});

t.test('a program that takes too long has failed', async (t) => {
  await t.rejects(meter.run(['sleep', '60'], { timeLimit: 0.1 }), {
    status: -9,
    message: 'sleep 60 was ended by signal 9: took longer than 0.1 s',
  });
});

t.test('work here, and several runs as one', async (t) => {
  const { wall, cpu } = await measureHere(() => {
    for (let i = 0, x = 1; i < 1e6; i++) x = Math.imul(x, 3);
  });
  t.ok(wall > 0 && cpu! > 0);
  const samples = [
    { wall: 1, cpu: 2, peakMemory: 5 },
    { wall: 3, cpu: 1, peakMemory: 4 },
  ];
  t.strictSame(await measureEach(2, async (i) => samples[i]), { wall: 4, cpu: 3, peakMemory: 5 });
  t.match(await measureEach(2, async (i) => (i ? samples[i] : { wall: 1 })), { wall: 4, cpu: undefined });
});
