import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export type StoreOperation =
  | 'get'
  | 'getMany'
  | 'put'
  | 'putIfAbsent'
  | 'replace'
  | 'update'
  | 'take'
  | 'delete'
  | 'deleteIf'
  | 'move'
  | 'deleteByTag'
  | 'increment'
  | 'counter'
  | 'resetCounter';

/** Of the services of /auth. */
export type AuthOperation =
  | 'sessions.create'
  | 'sessions.get'
  | 'sessions.update'
  | 'sessions.regenerate'
  | 'sessions.revokeToken'
  | 'sessions.revokeOthers'
  | 'sessions.revokeAll'
  | 'tokens.issue'
  | 'tokens.rotate'
  | 'tokens.revoke'
  | 'tokens.revokeAll'
  | 'codes.issue'
  | 'codes.redeem'
  | 'codes.issueToken'
  | 'codes.redeemToken'
  | 'attempts.hit'
  | 'attempts.peek'
  | 'attempts.reset';

export type Operation = StoreOperation | AuthOperation;

/**
 * How a call ended. `ok`: it was answered; `not-sent` and `unknown`: as the error said; `refused`: Redis or the store
 * refused it; `broken`: it rejected with an error that no call of a workload may reject with.
 */
export type Outcome = 'ok' | 'not-sent' | 'unknown' | 'refused' | 'broken';

/** What was read: a value, or `null` for "there is no such record". (JSON has no `undefined`.) */
export type Reading = string | null;

/** One call of a store, as its caller saw it. */
export interface Call {
  readonly operation: Operation;
  /** The process that called. */
  readonly process: string;
  /**
   * Of a record or a counter; of `deleteByTag`, `revokeAll` and `revokeOthers`: the tag; of `getMany`: none. Of /auth: the session, whatever its
   * token is; the family of refresh tokens; the subject of a code; the link; what attempts are counted for.
   */
  readonly key: string;
  /** Of `getMany`. */
  readonly keys?: readonly string[];
  /** The new key of `move`. Nobody calls it before the move is done. */
  readonly to?: string;
  /** The session that `revokeOthers` is to leave. */
  readonly except?: string;
  /** The token or code that was sent to a service, shortened. */
  readonly secret?: string;
  /** The one that the service gave, shortened. */
  readonly given?: string;
  /** In ms of the monotonic clock that the processes of a machine share. */
  readonly begin: number;
  readonly end: number;
  readonly outcome: Outcome;
  /** The value written. No two calls of a history write the same. */
  readonly value?: string;
  /** What the callback of an `update`, a `move` or a `deleteIf` was last given. */
  readonly saw?: string;
  readonly tags?: readonly string[];
  /** The answer. Of `getMany`: one for each key. Of `rotate`: the outcome. Of `redeem`: `true` for `ok`, or the attempts left. */
  readonly result?: Reading | boolean | number | readonly Reading[];
  /** The name of an error that was none of the known. */
  readonly error?: string;
}

/** A fault of server or network, in the clock of the calls. */
export interface Fault {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/** All that was called, and what it can be checked with. */
export interface History {
  /** Whose reads come from a near cache: by process, the lease in ms. */
  readonly leases: Readonly<Record<string, number>>;
  readonly faults: readonly Fault[];
  readonly calls: readonly Call[];
}

/** Which values `deleteIf` deletes. */
export function isDoomed(value: string): boolean {
  return /[^13]$/.test(value);
}

/** Now, in ms of the monotonic clock that the processes of a machine share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A line of JSON about the history, then one for each call. */
export function writeHistory(file: string, { calls, ...about }: History): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, [about, ...calls].map((line) => `${JSON.stringify(line)}\n`).join(''));
}

export function readHistory(file: string): History {
  const [about, ...calls] = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  return { ...(about as Omit<History, 'calls'>), calls: calls as Call[] };
}
