import type { Reading } from './history.js';

/** A record, or that there is none. */
export interface RecordState {
  readonly value: Reading;
  /** Since when a record has its tags: the end of the call that gave them; Infinity if that was never acknowledged. */
  readonly tags: ReadonlyMap<string, number>;
}

export const ABSENT: RecordState = { value: null, tags: new Map() };
