import type { Reading } from './history.js';

/** A record, or that there is none. */
export interface RecordState {
  readonly value: Reading;
  /** Since when a record has its tags: the end of the call that gave them; Infinity if that was never acknowledged. */
  readonly tags: ReadonlyMap<string, number>;
}

export const ABSENT: RecordState = { value: null, tags: new Map() };

/** Tags by which records were deleted, each with the begin of the deletion. */
export type SignedOut = readonly (readonly [tag: string, begin: number])[];

export function hadBefore({ tags }: RecordState, tag: string, moment: number): boolean {
  return (tags.get(tag) ?? Infinity) < moment;
}

/** Whether a deletion should have reached the record. */
export function isSignedOut(state: RecordState, signedOut: SignedOut = []): boolean {
  return signedOut.some(([tag, begin]) => hadBefore(state, tag, begin));
}
