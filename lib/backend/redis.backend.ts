import { isUtf8 } from 'node:buffer';
import type { RedisConnection } from '../connection/redis-connection.js';
import type { RedisCommand, RedisReply } from '../connection/call.js';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { delay } from '../redis-cache.timers.js';
import type { CacheBackend, Change, Expiry, HeadChange, LocalCopies, NextExpiry } from './cache-backend.js';
import { HIT, READ } from './counter-scripts.js';
import type { Count, Hit, HitResult } from './counters.js';
import type { IndexMember, Membership } from './indexes.js';
import { keysMoved, ownSlots, WALK_RESTARTS } from './whole-walks.js';
import { ReadBatcher } from './read-batcher.js';
import { RedisIndexes } from './redis-indexes.js';
import { RecordSizes, REPLY } from './record-sizes.js';
import { copyOf, RedisReads, toBytes, ttlOf } from './redis-reads.js';
import { COMPARE_AND_SET, COMPARE_HEAD, DELETE, HEADS, READ_WITH_TTL, SWAP, TAKE } from './redis-scripts.js';
import { WriteBatcher } from './write-batcher.js';
import { chunks, together } from './writes-in-parts.js';

/** Redis' own limit (proto-max-bulk-len). */
const LARGEST_VALUE = 512 * 2 ** 20;
/** Keys that one SCAN looks at: about 0.3 ms of Redis' time. */
const SCAN_COUNT = 500;
/** A connection that is lost is known to be after some turns of the event loop: until then calls of it fail at once. In ms. */
const WALK_PAUSE = 20;
/** Records that one script looks at or deletes: about 0.3 ms of Redis' time. */
const RECORDS = 200;

/** The port over Redis commands. */
export class RedisBackend implements CacheBackend {
  readonly get: CacheBackend['get'];
  readonly getToKeep: CacheBackend['getToKeep'];
  private readonly reads: RedisReads;
  private readonly sizes: RecordSizes;
  private readonly caller: WriteBatcher;
  private readonly indexes: RedisIndexes;

  constructor(
    private readonly connection: RedisConnection,
    maxBytes: number = LARGEST_VALUE,
  ) {
    this.sizes = new RecordSizes(maxBytes);
    this.reads = new RedisReads(connection, this.sizes);
    // On a Cluster no read shares a command, so that none waits for others.
    this.get = connection.isCluster ? this.reads.fetchOne : new ReadBatcher(this.reads.fetch, copyOf).get;
    this.getToKeep = new ReadBatcher(this.reads.fetchToKeep, (found) => ({ ...found, bytes: copyOf(found.bytes) })).get;
    this.caller = new WriteBatcher(connection);
    this.indexes = new RedisIndexes(connection, this.caller);
  }

  now(): number {
    return this.connection.clock.now();
  }

  get generation(): number {
    return this.connection.generation;
  }

  async getWithTtl(key: string, deadline: number): Promise<{ bytes: Buffer; ttl: number | null } | undefined> {
    const isLarge = this.sizes.isLarge(key);
    const lastByte = String(this.sizes.bytesToAskFor(key));
    const reply = await this.caller.ask(READ_WITH_TTL, [key], [lastByte], deadline, isLarge);
    const [found, left = null] = reply as readonly RedisReply[];
    const [bytes, ttl] = [toBytes(found ?? null), ttlOf(left)];
    if (!isLarge && bytes && bytes.length > REPLY) {
      this.sizes.exceed(key);
      return this.getWithTtl(key, deadline);
    }
    this.sizes.see(key, bytes?.length ?? 0);
    return bytes && ttl !== undefined ? { bytes, ttl } : undefined;
  }

  async heads(keys: readonly string[], deadline: number): Promise<(Buffer | undefined)[]> {
    const ask = (some: readonly string[]) => this.caller.ask(HEADS, some, [], deadline);
    return (await this.inChunks(keys, ask)).map(toBytes);
  }

  set(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<unknown> {
    this.sizes.see(key, bytes.length);
    return this.caller.set(key, bytes, expiryArguments(expiry), deadline);
  }

  async swap(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<Buffer | undefined> {
    return toBytes(await this.caller.run(SWAP, [key], [bytes, ...expiryArguments(expiry)], deadline));
  }

  async setIfAbsent(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<boolean> {
    return (await this.caller.write(['set', key, bytes, 'NX', ...expiryArguments(expiry)], [key], deadline)) !== null;
  }

  async compareAndSet(key: string, expected: Buffer, change: Change, deadline: number): Promise<boolean> {
    const args = [expected, ...changeArguments(change)];
    return (await this.caller.run(COMPARE_AND_SET, [key], args, deadline)) === 1;
  }

  async compareHead(key: string, head: Buffer, change: HeadChange, deadline: number): Promise<boolean> {
    const args = [head, ...headChangeArguments(change)];
    return (await this.caller.run(COMPARE_HEAD, [key], args, deadline)) === 1;
  }

  async take(key: string, deadline: number): Promise<Buffer | undefined> {
    return toBytes(await this.caller.run(TAKE, [key], [], deadline));
  }

  async has(key: string, deadline: number): Promise<boolean> {
    return (await this.caller.read(['exists', key], deadline)) === 1;
  }

  async ttl(key: string, deadline: number): Promise<number | null | undefined> {
    return ttlOf(await this.caller.read(['pttl', key], deadline));
  }

  async delete(keys: readonly string[], deadline: number): Promise<(Buffer | undefined)[]> {
    const remove = (some: readonly string[]) => this.caller.run(DELETE, some, [], deadline);
    const told = await this.inChunks(keys, remove);
    return told.map((head) => (head === null ? undefined : (toBytes(head) ?? NO_BYTES)));
  }

  async *scan(...prefixes: readonly string[]): AsyncIterable<readonly string[]> {
    const pattern = `${globOf(prefixes)}*`;
    const seen = new Set<string>();
    const walk = this.walk((cursor) => ['scan', cursor, 'MATCH', pattern, 'COUNT', String(SCAN_COUNT)]);
    for await (const found of walk) {
      const keys = found.filter((key) => isUtf8(key)).map(String);
      const fresh = keys.filter((key) => !seen.has(key) && seen.add(key));
      if (fresh.length > 0) yield fresh;
    }
  }

  addToIndex(index: string, member: string, membership: Membership, deadline: number): Promise<number> {
    return this.indexes.addToIndex(index, member, membership, deadline);
  }

  admitToIndex(
    index: string,
    member: string,
    membership: Membership,
    most: number,
    deadline: number,
  ): Promise<boolean> {
    return this.indexes.admitToIndex(index, member, membership, most, deadline);
  }

  removeFromIndex(index: string, members: readonly string[], generation: number, deadline: number): Promise<void> {
    return this.indexes.removeFromIndex(index, members, generation, deadline);
  }

  indexMembers(index: string): AsyncIterable<readonly IndexMember[]> {
    return this.indexes.indexMembers(index);
  }

  async hit(key: string, { by, ttl, limit, block }: Hit, deadline: number): Promise<HitResult> {
    const blocks = block ? [block.first, block.factor, block.longest] : ['', '', ''];
    const args = [by, ttl ?? '', limit ?? '', ...blocks].map(String);
    const [count, left, allowed] = (await this.caller.run(HIT, [key], args, deadline)) as readonly RedisReply[];
    return { ...countOf(count, left), allowed: allowed === 1 };
  }

  async counter(key: string, deadline: number): Promise<Count | undefined> {
    const reply = (await this.caller.ask(READ, [key], [], deadline)) as readonly RedisReply[] | null;
    return reply === null ? undefined : countOf(reply[0], reply[1]);
  }

  watch(prefix: string, lease: number, copies: LocalCopies): boolean {
    this.connection.feed.watch(prefix, lease, copies);
    return true;
  }

  forget(key: string): void {
    this.connection.feed.forget(key);
  }

  forgetAll(prefix: string): void {
    this.connection.feed.forgetAll(prefix);
  }

  /**
   * The pages of a SCAN over all masters. A cursor means something only to the server that gave it: when a connection is
   * lost, or slots have moved, the walk begins again, and the caller sees some elements twice. While slots are moving it comes to the
   * masters in both orders, so that a key which goes from one to another is on one of them when the walk is there.
   */
  private async *walk(command: (cursor: string) => RedisCommand): AsyncIterable<readonly Buffer[]> {
    for (let restarts = 0; ; restarts++) {
      try {
        const masters = await this.connection.masters(this.connection.call(true));
        const { version } = this.connection;
        const slots = await ownSlots(this.connection, masters);
        for (const link of slots?.areMoving ? [...masters, ...masters.toReversed()] : masters) {
          for (let cursor = '0', done = false; !done; done = cursor === '0') {
            const reply = await this.connection.send(command(cursor), this.connection.call(true), link);
            const [next, found] = reply as readonly [Buffer, readonly Buffer[]];
            cursor = String(next);
            yield found;
          }
        }
        const after = await this.connection.masters(this.connection.call(true));
        const areSame = version === this.connection.version && after.every((link) => masters.includes(link));
        if (areSame && slots?.said === (await ownSlots(this.connection, masters))?.said) return;
        throw keysMoved();
      } catch (error) {
        const lost = error instanceof CacheUnavailableError && error.reason === 'disconnected';
        if (!lost || restarts === WALK_RESTARTS) throw error;
        await delay(WALK_PAUSE);
      }
    }
  }

  /** Replies of a script over many keys, which tells of as many of them as are not too much at once. On a Cluster, key by key. */
  private async inChunks(
    keys: readonly string[],
    call: (some: readonly string[]) => Promise<RedisReply>,
  ): Promise<RedisReply[]> {
    const all = async (some: readonly string[]): Promise<RedisReply[]> => {
      const told: RedisReply[] = [];
      while (told.length < some.length) told.push(...((await call(some.slice(told.length))) as readonly RedisReply[]));
      return told;
    };
    return (await together(chunks(keys, this.connection.isCluster ? 1 : RECORDS).map(all))).flat();
  }
}

const NO_BYTES = Buffer.alloc(0);

/** The pattern of what begins with one of the prefixes, which have one length and differ in ASCII characters only. */
function globOf(prefixes: readonly string[]): string {
  const [first = ''] = prefixes;
  const escape = (character: string) => character.replace(/[\\*?[\]^-]/, '\\$&');
  const place = (_: unknown, i: number) => {
    const there = [...new Set(prefixes.map((prefix) => escape(prefix.charAt(i))))].join('');
    return prefixes.every((prefix) => prefix.charAt(i) === first.charAt(i)) ? there : `[${there}]`;
  };
  return Array.from({ length: first.length }, place).join('');
}

function countOf(count: RedisReply = 0, left: RedisReply = -1): Count {
  return { count: Number(String(count)), ttl: left === -1 ? null : Number(left) };
}

function expiryArguments(expiry: NextExpiry): string[] {
  if (expiry === 'never') return [];
  if ('keepUpTo' in expiry) return ['KEEPTTL'];
  return 'in' in expiry ? ['PX', String(expiry.in)] : ['PXAT', String(expiry.at)];
}

function changeArguments(change: Change): (string | Buffer)[] {
  if (change === 'delete') return [''];
  const { set, expiry } = change;
  const isLimited = expiry !== 'never' && 'keepUpTo' in expiry && expiry.keepUpTo !== Infinity;
  return [isLimited ? String(expiry.keepUpTo) : '', set, ...expiryArguments(expiry)];
}

function headChangeArguments(change: HeadChange): string[] {
  if (change === 'delete') return ['', 'UNLINK'];
  const { expire, ifLeft = '' } = change;
  if (expire === 'never') return [String(ifLeft), 'PERSIST'];
  return [String(ifLeft), ...('in' in expire ? ['PEXPIRE', String(expire.in)] : ['PEXPIREAT', String(expire.at)])];
}
