import type { Model } from './checker.js';
import { believeCredential, type CredentialCall, isOfCredential, stepCredential } from './credential-model.js';
import type { Reading } from './history.js';
import { ABSENT, hadBefore, isSignedOut, type RecordState, type SignedOut } from './record-state.js';

/** What one call does to one record, and the answer that it gave; without an answer any would do. */
export type RecordCall =
  | CredentialCall
  /** `signedOut`: not a record that has one of these tags since before that moment. */
  | {
      readonly operation: 'get';
      readonly result: Reading;
      readonly signedOut?: SignedOut;
    }
  | { readonly operation: 'put'; readonly value: string; readonly tags: readonly string[]; readonly end: number }
  | {
      readonly operation: 'putIfAbsent';
      readonly value: string;
      readonly tags: readonly string[];
      readonly end: number;
      readonly result?: boolean;
    }
  | {
      readonly operation: 'replace';
      readonly value: string;
      readonly tags?: readonly string[];
      readonly end: number;
      readonly result?: boolean;
    }
  /** `saw` and `value`: of the last change; neither if there was nothing to change. */
  | {
      readonly operation: 'update';
      readonly saw: string;
      readonly value: string;
      readonly tags?: readonly string[];
      readonly end: number;
    }
  | { readonly operation: 'take'; readonly result?: Reading }
  | { readonly operation: 'delete'; readonly result?: boolean }
  /** A counter is a record whose value is its count. */
  | { readonly operation: 'increment'; readonly result?: number; readonly limit?: number }
  /** `deleteByTag` deletes this record, if it has the tag. */
  | { readonly operation: 'signOut'; readonly tag: string }
  /** `deleteByTag` is done: no record is left that had the tag before `begin`. */
  | { readonly operation: 'signedOut'; readonly tag: string; readonly begin: number };

/** One record of the store, without expiry. */
export const recordModel: Model<RecordState, RecordCall> = {
  initial: ABSENT,

  step(state, call) {
    if (isOfCredential(call)) return stepCredential(state, call);
    const isThere = state.value !== null;
    const fits = (answer: boolean) => !('result' in call) || call.result === undefined || call.result === answer;
    switch (call.operation) {
      case 'get':
        if (state.value !== call.result) return undefined;
        return isSignedOut(state, call.signedOut) ? undefined : state;
      case 'put':
        return { value: call.value, tags: since(call.tags, call.end) };
      case 'putIfAbsent':
        if (!fits(!isThere)) return undefined;
        return isThere ? state : { value: call.value, tags: since(call.tags, call.end) };
      case 'replace':
        if (!fits(isThere)) return undefined;
        return isThere ? { value: call.value, tags: retagged(state, call.tags, call.end) } : state;
      case 'update':
        return state.value === call.saw ? { value: call.value, tags: retagged(state, call.tags, call.end) } : undefined;
      case 'take':
        return call.result === undefined || state.value === call.result ? ABSENT : undefined;
      case 'delete':
        return fits(isThere) ? ABSENT : undefined;
      case 'increment': {
        const count = Number(state.value) + 1;
        if (count > (call.limit ?? Infinity)) return undefined;
        if (call.result !== undefined && call.result !== count) return undefined;
        return { value: String(count), tags: state.tags };
      }
      case 'signOut':
        return state.tags.has(call.tag) ? ABSENT : undefined;
      default:
        return hadBefore(state, call.tag, call.begin) ? undefined : state;
    }
  },

  keyOf({ value, tags }) {
    if (value === null) return '';
    return tags.size === 0 ? value : `${value} ${[...tags].flat().join(' ')}`;
  },

  believe(call) {
    if (isOfCredential(call)) return believeCredential(call);
    switch (call.operation) {
      case 'get':
        return { value: call.result, tags: new Map() };
      case 'put':
      case 'update':
        return { value: call.value, tags: new Map() };
      case 'increment':
        return { value: String(call.result), tags: new Map() };
      case 'putIfAbsent':
      case 'replace':
        // Without a write of its own it says that there was a record, and not which.
        return call.result === true ? { value: call.value, tags: new Map() } : ABSENT;
      default:
        return ABSENT;
    }
  },
};

function since(tags: readonly string[], end: number): ReadonlyMap<string, number> {
  return new Map(tags.map((tag) => [tag, end]));
}

/** A tag that a record had already stays as old as it is: a rewritten record is the same record. */
function retagged(state: RecordState, tags: readonly string[] | undefined, end: number): RecordState['tags'] {
  return tags ? new Map(tags.map((tag) => [tag, state.tags.get(tag) ?? end])) : state.tags;
}
