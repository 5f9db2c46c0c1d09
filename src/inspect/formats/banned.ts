import { u64be, u64le } from '../bytes.js';
import type { Detector, Report } from '../report.js';
import { headBytes, type Steps, tailBytes } from '../steps.js';
import type { FormatName } from '../types.js';

/** Records a match with a format that is recognised only to be refused. */
export function ban(report: Report, name: FormatName, reason: string): void {
  report.match = { name, reason };
  report.refuse('banned-format', `images of format ${name} are never accepted from outside`, 0);
}

/** QED (QEMU docs/interop/qed_spec): magic at 0, features at 16, virtual size at 48, all little-endian. */
export const qed: Detector = {
  names: ['qed'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, 64);
    if (head.toString('latin1', 0, 4) !== 'QED\0') return;
    ban(report, 'qed', 'QED magic at byte 0');
    if (head.length < 64) return;
    report.setVirtualSize(head.readBigUInt64LE(48), 48);
    if (u64le(head, 16) % 2 === 1) report.refuse('backing-file', 'the image has a backing file', 56);
  },
};

/** Parallels, also called ploop (QEMU docs/interop/parallels): sectors at 36, of 32 or 64 bits. */
export const parallels: Detector = {
  names: ['parallels'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, 64);
    const magic = head.toString('latin1', 0, 16);
    if (magic !== 'WithoutFreeSpace' && magic !== 'WithouFreSpacExt') return;
    ban(report, 'parallels', `Parallels magic '${magic}' at byte 0`);
    if (head.length < 64) return;
    const sectors = magic === 'WithouFreSpacExt' ? head.readBigUInt64LE(36) : BigInt(head.readUInt32LE(36));
    report.setVirtualSize(sectors * 512n, 36);
  },
};

/** Bochs growing disk: text at 0, type at 32, subtype at 48. */
export const bochs: Detector = {
  names: ['bochs'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, 32);
    if (head.toString('latin1', 0, 22) !== 'Bochs Virtual HD Image') return;
    ban(report, 'bochs', "text 'Bochs Virtual HD Image' at byte 0");
  },
};

/** Compressed loop image: a shell script that mounts itself. */
export const cloop: Detector = {
  names: ['cloop'],
  *inspect(report): Steps {
    const head = yield* headBytes(0, 32);
    if (!/^#!\/bin\/sh\n#V\d+\.\d+ Format\n/.test(head.toString('latin1'))) return;
    ban(report, 'cloop', 'cloop script at byte 0');
  },
};

/** Apple disk image: 'koly' trailer in the last 512 bytes, sectors at 492 of it. Readers go by the file's name. */
export const dmg: Detector = {
  names: ['dmg'],
  *inspect(report): Steps {
    const { bytes, fileSize } = yield* tailBytes(512);
    if (bytes.length < 512 || bytes.toString('latin1', 0, 4) !== 'koly') return;
    report.weak = true;
    ban(report, 'dmg', `'koly' trailer at byte ${fileSize - 512}`);
    if (u64be(bytes, 492) < 2 ** 44) report.setVirtualSize(bytes.readBigUInt64BE(492) * 512n);
  },
};
