import type { CheckResult } from '../../../disk/format.js';

/** Messages kept; counting goes on after it. */
export const MAX_MESSAGES = 100_000;

/** Findings of a check: counts and QEMU's sentences. */
export class Report implements CheckResult {
  checkErrors = 0;
  corruptions = 0;
  leaks = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  totalClusters = 0;
  allocatedClusters = 0;
  fragmentedClusters = 0;
  compressedClusters = 0;
  imageEndOffset = 0;
  failure: string | undefined;
  readonly messages: string[] = [];
  #signalled = false;

  corruption(message?: string): void {
    this.corruptions++;
    if (message !== undefined) this.say(message);
  }

  /** What was counted as a corruption is one no more. */
  repaired(corruptions: number): void {
    this.corruptions -= corruptions;
    this.corruptionsFixed += corruptions;
  }

  checkError(message: string): void {
    this.checkErrors++;
    this.say(message);
  }

  /** What QEMU prints when reading itself runs into corruption: only the first time. */
  signal(message: string): void {
    if (this.#signalled) return;
    this.#signalled = true;
    this.say(`qcow2: Image is corrupt: ${message}; further non-fatal corruption events will be suppressed`);
  }

  say(message: string): void {
    if (this.messages.length < MAX_MESSAGES) this.messages.push(message);
  }

  result(): CheckResult {
    const { checkErrors, corruptions, leaks, totalClusters, allocatedClusters } = this;
    const { fragmentedClusters, compressedClusters, imageEndOffset, messages, failure } = this;
    return {
      checkErrors,
      corruptions,
      leaks,
      corruptionsFixed: this.corruptionsFixed,
      leaksFixed: this.leaksFixed,
      totalClusters,
      allocatedClusters,
      fragmentedClusters,
      compressedClusters,
      imageEndOffset,
      ...(failure !== undefined && { failure }),
      messages,
    };
  }
}
