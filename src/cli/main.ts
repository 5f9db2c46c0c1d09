#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Outlet } from './outlet.js';

const stdout = new Outlet(1);
const stderr = new Outlet(2);

/** A link to the program gives it its name, so that `ln -s basecow qemu-img` speaks as qemu-img. */
function programName(): string {
  const name = basename(process.argv[1] ?? 'basecow');
  return name === 'main.js' || name === 'basecow.cjs' ? 'basecow' : name;
}

/** 128 + the signal's number, as a shell reports a program that a signal ended. */
const signalExitCode = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Node makes text of the words before anybody sees them; of bytes that are no UTF-8 it makes U+FFFD, and a file of
 * another name would be meant. The kernel knows what was written.
 */
function refuseBrokenWords(words: readonly string[]): void {
  const broken = words.find((word) => word.includes('\ufffd'));
  if (broken === undefined) return;
  const told = readFileSync('/proc/self/cmdline');
  if (Buffer.compare(Buffer.from(told.toString()), told) === 0) return;
  stderr.write(`${programName()}: '${broken}' is not UTF-8: names in other encodings are not supported\n`);
  process.exit(1);
}

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The second time, whatever is in the way of an orderly end.
    if (controller.signal.aborted) process.exit(signalExitCode[name]);
    controller.abort(name);
  });
}
// Left to itself, Node opens its debugger at SIGUSR1; long verbs print their progress instead.
process.on('SIGUSR1', () => {});
process.on('uncaughtException', (error) => {
  stderr.write(`${programName()}: ${process.env.BASECOW_DEBUG === '1' ? error.stack : error.message}\n`);
  process.exit(1);
});

refuseBrokenWords(process.argv.slice(2));
async function main(): Promise<void> {
  // Loaded only now: from the first moment on, signals find their handlers.
  const { runProgram } = await import('./program.js');
  const ending = await runProgram(process.argv.slice(2), {
    programName: programName(),
    stdout,
    stderr,
    signal: controller.signal,
  });
  const exitCode = ending === 'cancelled' ? signalExitCode[controller.signal.reason as 'SIGINT'] : ending;
  await Promise.all([stdout.flush(), stderr.flush()]);
  process.exit(exitCode);
}

// No await at the top: the bundled program is CommonJS (scripts/bundle.js), which starts faster.
void main();
