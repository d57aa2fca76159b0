import { areCallsObserved, currentCalls, onBehalfOf } from '../redis-cache.diagnostics.js';
import type { CacheCallMessage } from '../redis-cache.diagnostics.js';
import { nextTick, setImmediate } from '../redis-cache.timers.js';

/** More keys are sent as several commands: one reply of a few hundred sessions neither blocks Redis nor our event loop. */
const MOST_KEYS = 256;

/** Fewer keys do not leave before the turn of the event loop is over. */
const FEWEST_KEYS = 32;

/** Calls whose deadlines lie further apart do not share a command, since a command has one deadline. In ms. */
const SAME_DEADLINE = 5;

class Reader<T> {
  readonly found: Promise<T>;
  resolve!: (found: T) => void;
  reject!: (error: unknown) => void;
  /** Those that it reads for; `undefined` if nobody listens. */
  readonly calls: readonly CacheCallMessage[] | undefined = currentCalls();

  constructor() {
    this.found = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

interface Batch<T> {
  readonly deadline: number;
  readonly readers: Map<string, Reader<T>[]>;
}

/** What there is under one key. A promise may fail on its own: a key of another type is no fault of the other readers. */
export type Fetched<T = Buffer | undefined> = T | Promise<T>;

type Fetch<T> = (keys: readonly string[], deadline: number) => readonly Fetched<T>[] | Promise<readonly Fetched<T>[]>;

/**
 * Sends the reads of one turn of the event loop together. Equal keys are fetched once; each reader gets bytes of its own, since
 * a serializer may give them out as they are.
 */
export class ReadBatcher<T = Buffer | undefined> {
  private batch: Batch<T> | undefined;
  /** Keys that were sent and not yet answered. */
  private underWay = 0;
  private lastSize = 0;
  /** Whether callers go on right now because they were answered. */
  private isAnswering = false;

  /** `fetch` answers keys in their order; if it fails as a whole, its error goes to every reader of the batch. */
  constructor(
    private readonly fetch: Fetch<T>,
    private readonly copy: (found: T) => T,
  ) {}

  /**
   * A batch leaves after the sockets have been read: the requests that arrived together are then all in it. A caller who was
   * alone the last time does not wait for them.
   */
  readonly get = (key: string, deadline: number): Promise<T> => {
    const batch = this.batchFor(deadline);
    const { readers } = batch;
    const reader = new Reader<T>();
    const others = readers.get(key);
    if (others) others.push(reader);
    else {
      readers.set(key, [reader]);
      if (readers.size >= this.enough) this.send(batch);
      else if (readers.size > 1) return reader.found;
      else if (this.underWay === 0 && this.lastSize === 1) nextTick(this.send, batch);
      else setImmediate(this.send, batch);
    }
    return reader.found;
  };

  /**
   * So many keys leave at once. Callers that ask again as soon as they are answered would have Redis wait while this process decodes,
   * and the other way round: what they ask for leaves in parts, each of as many keys as are on their way already. Without
   * that 64 of them get a seventh less done (bench/micro.mjs).
   */
  private get enough(): number {
    return this.isAnswering ? Math.min(MOST_KEYS, Math.max(FEWEST_KEYS, this.underWay)) : MOST_KEYS;
  }

  private batchFor(deadline: number): Batch<T> {
    const open = this.batch;
    if (open) {
      if (mayShare(open, deadline)) return open;
      this.send(open);
    }
    this.batch = { deadline, readers: new Map() };
    return this.batch;
  }

  private readonly send = (batch: Batch<T>): void => {
    if (this.batch !== batch) return; // it had to leave earlier
    const { readers, deadline } = batch;
    this.batch = undefined;
    this.lastSize = readers.size;
    this.underWay += readers.size;
    const groups = [...readers.values()];
    const keys = [...readers.keys()];
    const fetched = areCallsObserved()
      ? onBehalfOf(callsOf(groups), keys.length, () => this.fetch(keys, deadline))
      : this.fetch(keys, deadline);
    const refuseAll = (error: unknown) => groups.forEach((group) => this.refuse(error, group));
    const giveAll = (found: readonly Fetched<T>[]) =>
      groups.forEach((group, i) => this.give(found[i] as Fetched<T>, group)); // as many as keys
    if (fetched instanceof Promise) fetched.then(giveAll, refuseAll);
    else giveAll(fetched);
  };

  private give(fetched: Fetched<T>, readers: readonly Reader<T>[]): void {
    if (fetched instanceof Promise) {
      fetched.then(
        (found) => this.give(found, readers),
        (error: unknown) => this.refuse(error, readers),
      );
      return;
    }
    this.answered();
    for (let i = 1; i < readers.length; i++) readers[i]?.resolve(this.copy(fetched));
    readers[0]?.resolve(fetched);
  }

  private refuse(error: unknown, readers: readonly Reader<T>[]): void {
    this.answered();
    for (const { reject } of readers) reject(error);
  }

  private answered(): void {
    this.underWay--;
    if (this.isAnswering) return;
    this.isAnswering = true;
    nextTick(() => (this.isAnswering = false));
  }
}

/** Whether a call with this deadline may share the command of a batch. */
export function mayShare(batch: { readonly deadline: number }, deadline: number): boolean {
  return deadline - batch.deadline < SAME_DEADLINE && deadline >= batch.deadline;
}

function callsOf<T>(groups: readonly Reader<T>[][]): CacheCallMessage[] {
  return groups.flat().flatMap(({ calls }) => calls ?? []);
}
