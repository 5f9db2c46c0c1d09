// What is measured (a case: us and its rivals) and what comes of it (rows).
import type { Spread } from './statistics.js';

/** One run of one side. What could not be measured is not there. */
export interface Sample {
  /** Seconds. */
  wall: number;
  /** User + system seconds. */
  cpu?: number;
  /** Peak resident bytes. */
  peakMemory?: number;
}

export interface Side {
  /** The program, or what it does: `qemu-img convert`. */
  name: string;
  /** Undoes the round before, untimed. */
  before?: () => void | Promise<void>;
  work: () => Sample | Promise<Sample>;
  /** How many units one `work` makes (overlays in a group); its times are divided by it. Default 1. */
  units?: number;
}

/** A rival, with the ratio (rival's time / ours) that is to be reached; or why it is not here. */
export type Rival = (Side & { target?: number }) | { name: string; absent: string; target?: number };

/** Absolute targets of our side. */
export interface Targets {
  /** At most this many milliseconds of one unit. */
  milliseconds?: number;
  /** At least this many bytes a second. */
  throughput?: number;
  /** At most this many times the rival's file. */
  size?: number;
  /** At most this many bytes resident. */
  memory?: number;
}

export interface Case {
  /** Stable: rows of different runs are compared by it. */
  id: string;
  group: string;
  name: string;
  /** What makes the sides equal, beyond cache and durability. */
  terms: string;
  /** Where the inputs are when the time starts. */
  cache: 'warm' | 'cold' | 'none';
  /** What is on stable storage when the time ends, on all sides: `none` or how. */
  durability: string;
  /** Bytes that one unit handles: gives throughput. */
  bytes?: number;
  ours: Side;
  rivals: readonly Rival[];
  targets?: Targets;
  /** Counted rounds, when not the run's. */
  rounds?: number;
  /** Before the first round: `cold` cases have no warm-up round. */
  setUp?: () => void | Promise<void>;
  /** After the last round: proves the results right; may return sizes to compare, bytes, by side's name. */
  verify?: () => Sizes | undefined | Promise<Sizes | undefined>;
  /** At the very end, also after a failure. */
  cleanUp?: () => void | Promise<void>;
}

export type Sizes = { ours: number; rival: number };

export interface Figures {
  /** Seconds of one unit. */
  wall: Spread;
  /** Median, seconds of one unit. */
  cpu?: number;
  /** Largest, bytes. */
  peakMemory?: number;
}

export type CheckKind = 'ratio' | 'milliseconds' | 'throughput' | 'size' | 'memory';

/** A target and what became of it. */
export interface Check {
  kind: CheckKind;
  target: number;
  value: number;
  met: boolean;
}

export interface Row {
  id: string;
  group: string;
  name: string;
  terms: string;
  cache: Case['cache'];
  durability: string;
  rounds: number;
  bytes?: number;
  ours?: Figures;
  rival?: string;
  theirs?: Figures;
  /** Rival's wall time / ours: above 1 we are faster. Least and largest are those of a pair. */
  ratio?: Spread;
  sizes?: Sizes;
  /** Instructions executed, of rows that count instead of timing. */
  instructions?: number;
  theirInstructions?: number;
  checks: Check[];
  /** Why there are no figures, or no rival's. */
  absent?: string;
  note?: string;
}
