import { MAX_STORED_NAME, quote, withoutPadding } from '../../bytes.js';
import type { Report } from '../../report.js';

/** Descriptors are short; QEMU reads no more than 1 MiB either. */
export const MAX_DESCRIPTOR = 2 ** 20 - 1;

const SINGLE_FILE = ['monolithicsparse', 'streamoptimized'];
const ACCESS = /^(rw|rdonly|noaccess)\s/;
const EXTENT = /^(?:rw|rdonly|noaccess)\s+\d+\s+(\S+)(?:\s+"([^"]*)")?(?:\s+\d+)?$/;
const FIELD = /^[^\s=]+=/;
/** Names readers search for anywhere in the text, comments included. */
const ONCE = ['createtype', 'parentcid', 'parentfilenamehint'];

function printable(text: string): boolean {
  return /^[\t\r\n\x20-\x7e]*$/.test(text);
}

function fieldValue(lines: string[], field: string): string | undefined {
  const line = lines.find((candidate) => candidate.toLowerCase().startsWith(`${field}=`));
  return line
    ?.slice(field.length + 1)
    .trim()
    .replace(/^"(.*)"$/, '$1');
}

function judgeFields(report: Report, lines: string[], at: number): void {
  const type = fieldValue(lines, 'createtype');
  if (type === undefined || !SINGLE_FILE.includes(type.toLowerCase())) {
    const shown = type === undefined ? 'missing' : quote(type);
    report.refuse('descriptor', `VMDK createType is ${shown}, not monolithicSparse or streamOptimized`, at);
  }
  const parent = fieldValue(lines, 'parentfilenamehint');
  if (parent !== undefined) {
    report.backing = parent.slice(0, MAX_STORED_NAME);
    report.refuse('backing-file', `the VMDK names a parent image: ${quote(parent)}`, at);
  }
  const parentCid = fieldValue(lines, 'parentcid');
  if (parentCid !== undefined && parentCid.toLowerCase() !== 'ffffffff') {
    report.refuse('backing-file', `the VMDK is a child of the image with CID ${quote(parentCid)}`, at);
  }
}

function judgeExtents(report: Report, extents: string[], at: number): void {
  if (extents.length !== 1) {
    report.refuse('external-extent', `the VMDK has ${extents.length} extents; one file holds exactly 1`, at);
  }
  for (const line of extents) {
    const [, type, name] = EXTENT.exec(line.toLowerCase()) ?? [];
    if (type === undefined)
      report.refuse('descriptor', `VMDK extent line is not understood: ${quote(line)}`, at);
    else if (type !== 'sparse') {
      report.refuse('external-extent', `VMDK extent of type ${quote(type)}: its data is in another file`, at);
    }
    if (/[/\\]/.test(line) || name === '..') {
      report.refuse('external-extent', `VMDK extent names a path: ${quote(line)}`, at);
    }
  }
}

/**
 * Judges descriptor text that begins at byte `at`: every line must be a comment, a field, a disk database entry or
 * an extent; one extent, sparse, without a path; no parent.
 */
export function judgeDescriptor(report: Report, bytes: Buffer, at: number): void {
  const text = withoutPadding(bytes).toString('latin1');
  if (!printable(text)) {
    report.refuse('descriptor', 'the VMDK descriptor is no plain ASCII text', at);
    return;
  }
  const lower = text.toLowerCase();
  for (const field of ONCE) {
    const count = lower.split(field).length - 1;
    if (count > 1) report.refuse('descriptor', `the VMDK descriptor has ${field} ${count} times`, at);
    if (count === 1 && !new RegExp(`^${field}=`, 'm').test(lower)) {
      report.refuse('descriptor', `the VMDK descriptor hides ${field} inside another line`, at);
    }
  }
  const lines = text.split('\n').map((line) => line.trim());
  const extents: string[] = [];
  for (const line of lines) {
    const plain = line.toLowerCase();
    if (plain === '' || plain.startsWith('#') || plain.startsWith('ddb')) continue;
    if (ACCESS.test(plain)) extents.push(line);
    else if (!FIELD.test(plain))
      report.refuse('descriptor', `VMDK descriptor line is not understood: ${quote(line)}`, at);
  }
  judgeFields(report, lines, at);
  judgeExtents(report, extents, at);
}

/** The rule by which QEMU takes text for a VMDK: after comments and blank lines, `version=1`, 2 or 3. */
export function looksLikeDescriptor(head: Buffer): boolean {
  if (/^# disk descriptorfile/i.test(head.toString('latin1', 0, 32))) return true;
  for (const line of head.toString('latin1').split('\n')) {
    if (line.startsWith('#') || /^[ \t\r]*$/.test(line)) continue;
    return /^version=[123]\r?$/.test(line);
  }
  return false;
}
