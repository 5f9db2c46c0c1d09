// A raw disk that proves it booted: the boot sector prints a marker on the serial port and writes itself to sector 1.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const SECTOR = 512;
const LOAD_ADDRESS = 0x7c00;

/** Marker that the boot sector prints, unless another is given. */
export const BOOT_MARKER = 'BASECOW-BOOTED';

/**
 * 512 bytes of 16-bit code with a valid partition table: BIOS int 13h (AH=03h) writes the sector itself to LBA 1,
 * then every marker byte goes out on COM1 (port 3F8h), then the machine halts.
 */
export function bootSector(marker = BOOT_MARKER, diskSectors = 8192): Buffer {
  const write = Buffer.from([
    0xfa,
    0x31,
    0xc0,
    0x8e,
    0xd8,
    0x8e,
    0xc0,
    0xbc,
    0x00,
    0x7c,
    0xfb, // cli; ds = es = 0; sp = 7C00h; sti
    0xb8,
    0x01,
    0x03, // ax = 0301h: write one sector
    0xb9,
    0x02,
    0x00, // cx: cylinder 0, sector 2
    0xba,
    0x80,
    0x00, // dx: head 0, first hard disk
    0xbb,
    0x00,
    0x7c, // bx: from where we run
    0xcd,
    0x13,
    0xfa, // int 13h; cli
  ]);
  const print = Buffer.from([
    0xba,
    0xf8,
    0x03, // dx = COM1
    0xac,
    0x84,
    0xc0,
    0x74,
    0x03, // loop: lodsb; test al,al; jz halt
    0xee,
    0xeb,
    0xf8, // out dx,al; jmp loop
    0xf4,
    0xeb,
    0xfd, // halt: hlt; jmp halt
  ]);
  const text = LOAD_ADDRESS + write.length + 3 + print.length;
  const pointAtText = Buffer.from([0xbe, text & 0xff, text >> 8]); // si = text
  const sector = Buffer.alloc(SECTOR);
  const code = Buffer.concat([write, pointAtText, print, Buffer.from(`${marker}\r\n\0`, 'latin1')]);
  if (code.length > 440)
    throw new RangeError(`marker of ${marker.length} bytes leaves no room for the partition table`);
  code.copy(sector);
  const first = Math.min(2048, diskSectors - 1);
  sector.set([0x80, 0, 2, 0, 0x83, 0, 0, 0], 446); // active, Linux
  sector.writeUInt32LE(first, 454);
  sector.writeUInt32LE(diskSectors - first, 458);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** Writes a bootable raw disk of `bytes`. */
export function writeBootDisk(path: string, bytes = 4 * 2 ** 20, marker = BOOT_MARKER): void {
  const disk = Buffer.alloc(bytes);
  bootSector(marker, bytes / SECTOR).copy(disk);
  writeFileSync(path, disk);
}

/** Boots a qcow2 disk in qemu-system (software emulation) and returns what it printed on the serial port. */
export function boot(disk: string, marker = BOOT_MARKER, seconds = 60): string {
  const script = `
    qemu-system-x86_64 -accel tcg -m 32 -display none -no-reboot -nodefaults -serial stdio \
      -drive file="$1",format=qcow2,if=ide </dev/null > "$1.serial" 2>"$1.stderr" & pid=$!
    for i in $(seq ${seconds * 10}); do grep -q "$2" "$1.serial" && break; kill -0 $pid 2>/dev/null || break; sleep 0.1; done
    sleep 0.2; kill $pid 2>/dev/null; wait $pid 2>/dev/null; cat "$1.serial" "$1.stderr"; rm -f "$1.serial" "$1.stderr"`;
  return spawnSync('bash', ['-c', script, 'boot', disk, marker], { encoding: 'utf8' }).stdout;
}
