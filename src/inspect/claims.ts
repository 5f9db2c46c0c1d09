import { DiskImageError } from '../disk/errors.js';
import type { FormatName } from './types.js';

/** Content that is accepted under each claim: a partitioned disk is a raw disk. */
const accepted: Readonly<Record<FormatName, readonly FormatName[]>> = {
  raw: ['raw', 'gpt', 'mbr'],
  gpt: ['gpt', 'mbr'],
  mbr: ['mbr'],
  qcow2: ['qcow2'],
  qcow: ['qcow'],
  qed: ['qed'],
  vmdk: ['vmdk'],
  vhd: ['vhd'],
  vhdx: ['vhdx'],
  vdi: ['vdi'],
  iso: ['iso'],
  luks: ['luks'],
  parallels: ['parallels'],
  bochs: ['bochs'],
  cloop: ['cloop'],
  dmg: ['dmg'],
};

const aliases: Readonly<Record<string, FormatName>> = { vpc: 'vhd', ploop: 'parallels', qcow1: 'qcow' };

/** Names that a claim may have, aliases last. */
export function claimNames(): string[] {
  return [...Object.keys(accepted), ...Object.keys(aliases)];
}

/** @throws UNKNOWN_FORMAT naming the claim and the known ones. */
export function parseClaim(claim: string): FormatName {
  if (Object.hasOwn(accepted, claim)) return claim as FormatName;
  if (Object.hasOwn(aliases, claim)) return aliases[claim];
  throw new DiskImageError(
    'UNKNOWN_FORMAT',
    `Unknown image format '${claim}' (the inspector knows: ${claimNames().join(', ')})`,
    { operation: 'inspect' },
  );
}

export function acceptedContent(claimed: FormatName): readonly FormatName[] {
  return accepted[claimed];
}
