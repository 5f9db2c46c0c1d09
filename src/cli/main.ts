#!/usr/bin/env node
import { basename } from 'node:path';
import { runProgram, signalExitCode } from './program.js';

/** A link to the program gives it its name, so that `ln -s basecow qemu-img` speaks as qemu-img. */
function programName(): string {
  const name = basename(process.argv[1] ?? 'basecow');
  return name === 'main.js' ? 'basecow' : name;
}

const controller = new AbortController();

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The second time, whatever is in the way of an orderly end.
    if (controller.signal.aborted) process.exit(signalExitCode[name]);
    controller.abort(name);
  });
}
// Node would start its debugger; long verbs print their progress instead.
process.on('SIGUSR1', () => {});

/** A reader that went away is no error worth a word: the exit code tells how the work itself went. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}
process.stdout.on('error', ignoreClosedPipe);
process.stderr.on('error', ignoreClosedPipe);

const { stdout, stderr } = process;
const exitCode = await runProgram(process.argv.slice(2), {
  programName: programName(),
  stdout,
  stderr,
  signal: controller.signal,
});
stdout.write('', () => process.exit(exitCode));
