import { isUtf8 } from 'node:buffer';
import type { RedisConnection } from '../connection/redis-connection.js';
import type { RedisCommand, RedisReply } from '../connection/redis-command.js';
import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { CacheBackend, Change, Expiry, IndexMember, Invalidations, NextExpiry } from './cache-backend.js';
import { HIT, READ } from './counter-scripts.js';
import type { Count, Hit, HitResult } from './counters.js';
import { ReadBatcher } from './read-batcher.js';
import { RedisReads, toBytes } from './redis-reads.js';
import { ADD_TO_INDEX, COMPARE_AND_SET, REMOVE_FROM_INDEX, TRIM_INDEX } from './redis-scripts.js';
import type { RedisScript } from './redis-scripts.js';
import { chunks, together } from './writes-in-parts.js';

/** Redis' own limit (proto-max-bulk-len). */
const LARGEST_VALUE = 512 * 2 ** 20;
/** Keys that one SCAN looks at: about 0.3 ms of Redis' time. */
const SCAN_COUNT = 500;
/** Members that one look at an index gives. */
const INDEX_COUNT = 1000;
/** How often a walk begins again after losing its connection. */
const WALK_RESTARTS = 3;
/** Keys that one DEL names. */
const DELETE_COUNT = 500;
/**
 * On a Cluster, index and record may live on nodes whose clocks differ: the index outlives the record by this, in ms.
 */
const CLUSTER_CLOCK_SKEW = 5000;

/** The port over Redis commands. */
export class RedisBackend implements CacheBackend {
  private readonly batcher: ReadBatcher;

  constructor(
    private readonly connection: RedisConnection,
    maxBytes: number = LARGEST_VALUE,
  ) {
    this.batcher = new ReadBatcher(new RedisReads(connection, maxBytes).fetch);
  }

  get(key: string, deadline: number): Promise<Buffer | undefined> {
    return this.batcher.get(key, deadline);
  }

  async getWithTtl(key: string, deadline: number): Promise<{ bytes: Buffer; ttl: number | null } | undefined> {
    const [bytes, left] = await Promise.all([this.get(key, deadline), this.ttl(key, deadline)]);
    return bytes && left !== undefined ? { bytes, ttl: left } : undefined;
  }

  set(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<unknown> {
    return this.write(young('set', key, bytes, ...expiryArguments(expiry)), [key], deadline);
  }

  async setIfAbsent(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<boolean> {
    return (await this.write(['set', key, bytes, 'NX', ...expiryArguments(expiry)], [key], deadline)) !== null;
  }

  async compareAndSet(key: string, expected: Buffer, change: Change, deadline: number): Promise<boolean> {
    return (await this.run(COMPARE_AND_SET, key, [expected, ...changeArguments(change)], deadline)) === 1;
  }

  async take(key: string, deadline: number): Promise<Buffer | undefined> {
    return toBytes(await this.write(['getdel', key], [key], deadline));
  }

  async has(key: string, deadline: number): Promise<boolean> {
    return (await this.read(['exists', key], deadline)) === 1;
  }

  async ttl(key: string, deadline: number): Promise<number | null | undefined> {
    const left = Number(await this.read(['pttl', key], deadline));
    if (left >= 0) return left;
    return left === -1 ? null : undefined;
  }

  async delete(keys: readonly string[], deadline: number): Promise<number> {
    const commands = chunks(keys, this.connection.isCluster ? 1 : DELETE_COUNT);
    const deleted = await together(commands.map((chunk) => this.write(['del', ...chunk], chunk, deadline)));
    return deleted.reduce<number>((sum, count) => sum + Number(count), 0);
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

  async addToIndex(index: string, member: string, ttl: number | null, deadline: number): Promise<number> {
    return Number(await this.run(ADD_TO_INDEX, index, [this.skew, member, String(ttl ?? '')], deadline));
  }

  async *indexMembers(index: string): AsyncIterable<readonly IndexMember[]> {
    const seen = new Set<string>();
    await this.run(TRIM_INDEX, index, [this.skew], this.connection.call(false).deadline);
    // By score, not by ZSCAN: its cursors mean nothing to the server that a failover brings in, while scores never sink,
    // so that whoever is in the index during the whole walk has been seen or is still ahead.
    for (let from = '-inf', count = INDEX_COUNT; ;) {
      const page = ['BYSCORE', 'LIMIT', '0', String(count), 'WITHSCORES'];
      const reply = await this.connection.send(['zrange', index, from, '+inf', ...page], this.connection.call(true));
      const found = (reply as readonly RedisReply[]).map(String);
      const fresh: IndexMember[] = [];
      for (let i = 0; i + 1 < found.length; i += 2) {
        const member = found[i] ?? '';
        if (!seen.has(member)) fresh.push({ member, score: Number(found[i + 1]) });
        seen.add(member);
      }
      if (fresh.length > 0) yield fresh;
      const last = found.at(-1);
      if (last === undefined || found.length < 2 * count) return;
      count = last === from ? 2 * count : INDEX_COUNT; // a page may end amid members of one score
      from = last;
    }
  }

  async removeFromIndex(index: string, members: readonly IndexMember[], deadline: number): Promise<void> {
    const pairs = members.flatMap(({ member, score }) => [member, String(score)]);
    await this.run(REMOVE_FROM_INDEX, index, [this.skew, ...pairs], deadline);
  }

  async hit(key: string, { by, ttl, limit, block }: Hit, deadline: number): Promise<HitResult> {
    const blocks = block ? [block.first, block.factor, block.longest] : ['', '', ''];
    const args = [by, ttl ?? '', limit ?? '', ...blocks].map(String);
    const [count, left, allowed] = (await this.run(HIT, key, args, deadline)) as readonly number[];
    return { ...countOf(count, left), allowed: allowed === 1 };
  }

  async counter(key: string, deadline: number): Promise<Count | undefined> {
    const reply = (await this.run(READ, key, [], deadline, true)) as readonly number[] | null;
    return reply === null ? undefined : countOf(reply[0], reply[1]);
  }

  watch(prefix: string, lease: number, onInvalid: (key: string | undefined) => void): Invalidations {
    return this.connection.feed.watch(prefix, lease, onInvalid);
  }

  /**
   * The pages of a SCAN over all masters. A cursor means something only to the server that gave it: when a connection is
   * lost the walk begins again on the next one, and the caller sees some elements twice.
   */
  private async *walk(command: (cursor: string) => RedisCommand): AsyncIterable<readonly Buffer[]> {
    for (let restarts = 0; ; restarts++) {
      try {
        const masters = await this.connection.masters(this.connection.call(true));
        for (const node of masters) {
          let socket: unknown;
          for (let cursor = '0', done = false; !done; done = cursor === '0') {
            const reply = await this.connection.send(command(cursor), this.connection.call(cursor === '0'), node);
            // A client that was brought along connects again by itself, perhaps to another server.
            if (cursor !== '0' && node.stream !== socket) {
              throw new CacheUnavailableError('disconnected', 'unknown', 'the connection was replaced amid a walk');
            }
            socket = node.stream;
            const [next, found] = reply as readonly [Buffer, readonly Buffer[]];
            cursor = String(next);
            yield found;
          }
        }
        return;
      } catch (error) {
        const lost = error instanceof CacheUnavailableError && error.reason === 'disconnected';
        if (!lost || restarts === WALK_RESTARTS) throw error;
      }
    }
  }

  private get skew(): string {
    return String(this.connection.isCluster ? CLUSTER_CLOCK_SKEW : 0);
  }

  private read(command: RedisCommand, deadline: number): Promise<RedisReply> {
    return this.connection.send(command, { deadline, repeatable: true });
  }

  private write(command: RedisCommand, keys: readonly string[], deadline: number): Promise<RedisReply> {
    return this.connection.feed.around(keys, () => this.connection.send(command, { deadline, repeatable: false }));
  }

  /** By digest; with its source where Redis does not know it yet (NOSCRIPT: nothing was run). */
  private async run(
    script: RedisScript,
    key: string,
    args: readonly (string | Buffer)[],
    deadline: number,
    onlyReads = false,
  ): Promise<RedisReply> {
    const send = (command: RedisCommand) =>
      onlyReads ? this.read(command, deadline) : this.write(command, [key], deadline);
    try {
      return await send(['evalsha', script.sha1, '1', key, ...args]);
    } catch (error) {
      if (!(error instanceof CacheCommandError && error.reply === 'NOSCRIPT')) throw error;
      return send(['eval', script.source, '1', key, ...args]);
    }
  }
}

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

function countOf(count = 0, left = -1): Count {
  return { count, ttl: left === -1 ? null : left };
}

function expiryArguments(expiry: NextExpiry): string[] {
  if (expiry === 'never') return [];
  if ('keepUpTo' in expiry) return ['KEEPTTL'];
  return 'in' in expiry ? ['PX', String(expiry.in)] : ['PXAT', String(expiry.at)];
}

function changeArguments(change: Change): (string | Buffer)[] {
  if (change === 'delete') return ['', '', 'DEL'];
  if ('set' in change) {
    const { set, expiry } = change;
    const isLimited = expiry !== 'never' && 'keepUpTo' in expiry && expiry.keepUpTo !== Infinity;
    return [isLimited ? String(expiry.keepUpTo) : '', '', 'SET', set, ...expiryArguments(expiry)];
  }
  const { expire, ifLeft = '' } = change;
  const command = expire === 'never' ? ['PERSIST'] : expirationOf(expire);
  return ['', String(ifLeft), ...command];
}

function expirationOf(expire: Exclude<Expiry, 'never'>): string[] {
  return 'in' in expire ? ['PEXPIRE', String(expire.in)] : ['PEXPIREAT', String(expire.at)];
}

/**
 * A command like any other, but not an array literal: should the first ones live long, V8 allocates all further literals as if they
 * did, and what they refer to stays with them, until the next full collection: a tenth of what a `put` costs.
 */
function young(...command: RedisCommand): RedisCommand {
  return command;
}
