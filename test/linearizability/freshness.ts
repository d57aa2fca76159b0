import type { Call, History, Operation } from './history.js';
import type { SignedOut } from './record-state.js';

/** What the clocks of Redis, of timers and of this history may differ by, in ms. */
const SLACK = 5;

/** What begins so many ms after an end does not meet it. A nanosecond. */
const AFTER = 1e-6;

/** Deletions by tag: after these no record is left that had the tag before. */
export const BY_TAG = new Set<Operation>(['deleteByTag', 'sessions.revokeAll', 'tokens.revokeAll']);

/** All that delete records by a tag. */
export const OF_MANY = new Set<Operation>([...BY_TAG, 'sessions.revokeOthers']);

/** What a process with a near cache knows of by itself. */
const WRITES = new Set<Operation>([
  'put',
  'putIfAbsent',
  'replace',
  'update',
  'take',
  'delete',
  'deleteIf',
  'move',
  'deleteByTag',
  'sessions.create',
  'sessions.update',
  'sessions.regenerate',
  'sessions.revokeToken',
  'sessions.revokeAll',
]);

/** Those that count even if there was nothing to delete. */
const DELETIONS = new Set<Operation>(['take', 'delete', ...BY_TAG]);

/** What a read may answer with. */
export interface Fresh {
  /** What the record was at this moment or later, */
  readonly from: number;
  /** and no record that has one of these tags since before these moments. */
  readonly signedOut: SignedOut;
}

/** What reads may answer with: without a near cache what is; with one nothing older than the lease or a write of its process. */
export class Freshness {
  private readonly writes = new Map<string, Call[]>();

  constructor(private readonly leases: History['leases']) {}

  /** In the order of their begins. */
  note(call: Call): void {
    if (this.leases[call.process] === undefined || call.outcome !== 'ok' || !WRITES.has(call.operation)) return;
    // A conditional write that wrote nothing is none.
    if (!DELETIONS.has(call.operation) && (call.result === false || call.result === null)) return;
    const name = BY_TAG.has(call.operation) ? call.process : `${call.process} ${call.key}`;
    const writes = this.writes.get(name) ?? [];
    this.writes.set(name, writes);
    writes.push(call);
  }

  of({ process, begin }: Call, key: string): Fresh {
    const lease = this.leases[process];
    if (lease === undefined) return { from: begin, signedOut: [] };
    const oldest = begin - lease - SLACK;
    const recent = (name: string) => (this.writes.get(name) ?? []).filter(({ end }) => oldest < end && end <= begin);
    return {
      from: Math.max(oldest, ...recent(`${process} ${key}`).map(({ end }) => end + AFTER)),
      signedOut: recent(process).map((call) => [call.key, call.begin]),
    };
  }
}
