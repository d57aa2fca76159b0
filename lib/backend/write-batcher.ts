import type { RedisCommand, RedisReply } from '../connection/call.js';
import type { RedisConnection } from '../connection/redis-connection.js';
import { CacheCommandError } from '../redis-cache.errors.js';
import { areCallsObserved, currentCalls, onBehalfOf } from '../redis-cache.diagnostics.js';
import type { CacheCallMessage } from '../redis-cache.diagnostics.js';
import { nextTick } from '../redis-cache.timers.js';
import { mayShare } from './read-batcher.js';
import { RedisCaller } from './redis-caller.js';
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
 * Sends the unconditional writes of one turn of the event loop together, since what ioredis and Redis do for each command is most
 * of what a write costs: by a command each, the writes of 64 callers take 1.2 times as long (bench/micro.mjs). A write that is
 * alone, or on a Cluster, is a plain SET.
 *
 * No later write, such as a deletion, overtakes those that wait for the end of the turn.
 */
export class WriteBatcher extends RedisCaller {
  private batch: Batch | undefined;
  /** Whether one command may write several keys. */
  private readonly isShared: boolean;

  constructor(connection: RedisConnection) {
    super(connection);
    this.isShared = !connection.isCluster;
  }

  /** Any other write, which comes after those that wait. */
  override write(
    command: RedisCommand,
    keys: readonly string[],
    deadline: number,
    generation?: number,
  ): Promise<RedisReply> {
    if (this.batch) this.send(this.batch);
    return super.write(command, keys, deadline, generation);
  }

  /** Writes a record, whatever was there. */
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
      if (mayShare(open, deadline) && open.bytes + bytes <= MOST_BYTES) return open;
      this.send(open);
    }
    this.batch = { deadline, writes: [], bytes: 0 };
    return this.batch;
  }

  private readonly send = (batch: Batch): void => {
    if (this.batch !== batch) return; // it had to leave earlier
    this.batch = undefined;
    const { writes, deadline } = batch;
    if (writes.length === 1) this.sendEach(writes, deadline);
    else this.onBehalfOf(writes, () => void this.sendAll(writes, deadline));
  };

  /** What Redis refuses is sent by itself, so that each caller is told of no record but its own: nothing of it was carried out. */
  private async sendAll(writes: readonly Write[], deadline: number): Promise<void> {
    const keys = writes.map(({ key }) => key);
    const args = writes.flatMap(({ bytes, expiry: [option = '', value = ''] }) => [bytes, option, value]);
    let written: number;
    try {
      // With its source: later writes would overtake a script that Redis knows by no digest yet.
      const command: RedisCommand = ['eval', SET_ALL.source, String(keys.length), ...keys, ...args];
      written = Number(await super.write(command, keys, deadline));
    } catch (error) {
      if (!(error instanceof CacheCommandError)) return writes.forEach(({ reject }) => reject(error));
      written = 0;
    }
    for (const { resolve } of writes.slice(0, written)) resolve();
    this.sendEach(writes.slice(written), deadline);
  }

  private sendEach(writes: readonly Write[], deadline: number): void {
    for (const write of writes) {
      const { key, bytes, expiry, resolve, reject } = write;
      this.onBehalfOf([write], () => void this.setAlone(key, bytes, expiry, deadline).then(resolve, reject));
    }
  }

  private onBehalfOf(writes: readonly Write[], send: () => void): void {
    if (!areCallsObserved()) return send();
    const calls = writes.flatMap((write) => write.calls ?? []);
    onBehalfOf(calls, writes.length, send);
  }

  private setAlone(key: string, bytes: Buffer, expiry: readonly string[], deadline: number): Promise<unknown> {
    return super.write(['set', key, bytes, ...expiry], [key], deadline);
  }
}
