// Runs one call of the library in a process of its own and tells what it took, without the start of the process:
// node library.js '{"call":"hash","warm":true,"request":…,"settings":…}'

import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import {
  type ConvertRequest,
  type CopyImageRequest,
  convert,
  copyImage,
  createImage,
  type HashRequest,
  hash,
} from 'basecow';
import { measureHere } from '#src/bench/measure.js';

export interface LibraryCall {
  /**
   * A function of the package, or `nodeHash` for Node's own digest of a file. `createImage` makes a new overlay in
   * `folder` at each call; `convert` makes another file when it is called to warm up.
   */
  call: 'hash' | 'copyImage' | 'nodeHash' | 'createImage' | 'convert';
  request: Record<string, unknown>;
  settings?: Record<string, unknown>;
  /** Called once before, untimed, so that code and inputs are warm. Default true. */
  warm?: boolean;
  /** How often it is called; the time is that of all together. Default 1. */
  times?: number;
}

/** Node's way: what an agent without basecow does. */
function nodeHash({ path, algorithm = 'md5' }: Record<string, unknown>): string {
  const digest = createHash(String(algorithm));
  const buffer = Buffer.alloc(2 ** 20);
  const fd = fs.openSync(String(path), 'r');
  try {
    for (let length = fs.readSync(fd, buffer); length > 0; length = fs.readSync(fd, buffer)) {
      digest.update(length === buffer.length ? buffer : buffer.subarray(0, length));
    }
  } finally {
    fs.closeSync(fd);
  }
  return digest.digest('hex');
}

let overlays = 0;

function overlay({ folder, backingFile }: Record<string, unknown>): Promise<unknown> {
  const path = `${folder}/${process.pid}.${overlays++}`;
  return createImage(path, {
    format: 'qcow2',
    backingFile: String(backingFile),
    backingFormat: 'raw',
    sync: false,
  });
}

/** Once into a file that goes again, so that what is measured makes a new one. */
async function warmUp(once: () => Promise<unknown>, call: LibraryCall): Promise<void> {
  if (call.call !== 'convert') {
    await once();
    return;
  }
  const request = call.request as unknown as ConvertRequest;
  const path = `${request.target.path}.warm`;
  await convert({ ...request, target: { ...request.target, path } }, call.settings);
  fs.rmSync(path);
}

async function main(one: LibraryCall): Promise<void> {
  const { call, request, settings, warm = true, times = 1 } = one;
  const once = async (): Promise<unknown> => {
    if (call === 'nodeHash') return nodeHash(request);
    if (call === 'createImage') return overlay(request);
    if (call === 'convert') return convert(request as unknown as ConvertRequest, settings);
    if (call === 'copyImage') return copyImage(request as unknown as CopyImageRequest, settings);
    return hash(request as unknown as HashRequest, settings);
  };
  if (warm) await warmUp(once, one);
  let result: unknown;
  const sample = await measureHere(async () => {
    for (let i = 0; i < times; i++) result = await once();
  });
  const digests =
    (result as { digests?: unknown } | undefined)?.digests ??
    (typeof result === 'string' ? result : undefined);
  console.log(JSON.stringify({ ...sample, peakMemory: process.resourceUsage().maxRSS * 1024, digests }));
}

if (process.argv[2] !== undefined) await main(JSON.parse(process.argv[2]));
