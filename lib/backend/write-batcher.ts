import { CacheCommandError } from '../redis-cache.errors.js';
import { areCallsObserved, currentCalls, onBehalfOf } from '../redis-cache.diagnostics.js';
import type { CacheCallMessage } from '../redis-cache.diagnostics.js';
import { nextTick } from '../redis-cache.timers.js';
import { SAME_DEADLINE } from './read-batcher.js';
import type { RedisCaller } from './redis-caller.js';
import { SET_ALL } from './redis-scripts.js';

/** More records, or more bytes, leave as several commands: with so many Redis is busy for about 0.1 ms. */
const MOST_RECORDS = 32;
const MOST_BYTES = 64 * 1024;

interface Write {
  readonly key: string;
  readonly bytes: Buffer;
  /** Arguments of SET after the bytes: none, or an option and its value. */
  readonly expiry: readonly string[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Those that it writes for; `undefined` if nobody listens. */
  readonly calls: readonly CacheCallMessage[] | undefined;
}

interface Batch {
  readonly deadline: number;
  readonly writes: Write[];
  bytes: number;
}

/**
 * Sends the unconditional writes of one turn of the event loop together, in their order, since what ioredis and Redis do for
 * each command is most of what a write costs: by a command each, the writes of 64 callers take 1.4 times as long
 * (bench/micro.mjs). A write that is alone, or on a Cluster, is a plain SET.
 */
export class WriteBatcher {
  private batch: Batch | undefined;

  /** @param isShared - whether one command may write several keys */
  constructor(
    private readonly caller: RedisCaller,
    private readonly isShared: boolean,
  ) {}

  set(key: string, bytes: Buffer, expiry: readonly string[], deadline: number): Promise<unknown> {
    if (!this.isShared) return this.setAlone(key, bytes, expiry, deadline);
    return new Promise<void>((resolve, reject) => {
      const batch = this.batchFor(bytes.length, deadline);
      batch.bytes += bytes.length;
      const count = batch.writes.push({ key, bytes, expiry, resolve, reject, calls: currentCalls() });
      if (count === MOST_RECORDS) this.send(batch);
      else if (count === 1) nextTick(this.send, batch);
    });
  }

  private batchFor(bytes: number, deadline: number): Batch {
    const open = this.batch;
    if (open) {
      const isSoon = deadline >= open.deadline && deadline - open.deadline < SAME_DEADLINE;
      if (isSoon && open.bytes + bytes <= MOST_BYTES) return open;
      this.send(open);
    }
    this.batch = { deadline, writes: [], bytes: 0 };
    return this.batch;
  }

  private readonly send = (batch: Batch): void => {
    if (this.batch !== batch) return; // it had to leave earlier
    this.batch = undefined;
    const { writes, deadline } = batch;
    const send = () => void (writes.length === 1 ? this.sendEach(writes, deadline) : this.sendAll(writes, deadline));
    if (!areCallsObserved()) return send();
    const calls = writes.flatMap((write) => write.calls ?? []);
    onBehalfOf(calls, writes.length, send);
  };

  /** What Redis refuses is sent by itself, so that each caller is told of no record but its own: nothing of it was carried out. */
  private async sendAll(writes: readonly Write[], deadline: number): Promise<void> {
    const keys = writes.map(({ key }) => key);
    const args = writes.flatMap(({ bytes, expiry: [option = '', value = ''] }) => [bytes, option, value]);
    let written: number;
    try {
      written = Number(await this.caller.run(SET_ALL, keys, args, deadline));
    } catch (error) {
      if (!(error instanceof CacheCommandError)) return writes.forEach(({ reject }) => reject(error));
      written = 0;
    }
    for (const { resolve } of writes.slice(0, written)) resolve();
    this.sendEach(writes.slice(written), deadline);
  }

  private sendEach(writes: readonly Write[], deadline: number): void {
    for (const { key, bytes, expiry, resolve, reject } of writes)
      this.setAlone(key, bytes, expiry, deadline).then(resolve, reject);
  }

  private setAlone(key: string, bytes: Buffer, expiry: readonly string[], deadline: number): Promise<unknown> {
    return this.caller.write(['set', key, bytes, ...expiry], [key], deadline);
  }
}
