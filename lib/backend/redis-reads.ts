import type { RedisConnection } from '../connection/redis-connection.js';
import type { Call, RedisCommand, RedisReply } from '../connection/call.js';
import { AbsentKeys } from './absent-keys.js';
import type { Coverage, Keepable } from './cache-backend.js';
import type { Fetched } from './read-batcher.js';
import { REPLY } from './record-sizes.js';
import type { RecordSizes } from './record-sizes.js';
import { chunks } from './writes-in-parts.js';

/**
 * How the bytes under keys are asked for.
 *
 * GETRANGE is as fast as GET and sends no more than is allowed, but says '' of a key that is not there; MGET says null also of
 * a key of another type. So what they do not find is looked at again before it is called absent: in a second round trip, or, of
 * keys that are likely to be absent, in the same packet.
 *
 * A reply to one key brings no more than {@link REPLY}, since those that come after it wait. What is larger comes aside.
 */
export class RedisReads {
  private readonly absent = new AbsentKeys();

  constructor(
    private readonly connection: RedisConnection,
    private readonly sizes: RecordSizes,
  ) {}

  /** The bytes under a key, by a command of its own. */
  readonly fetchOne = (key: string, deadline: number): Promise<Buffer | undefined> => {
    const isLarge = this.sizes.isLarge(key);
    const reply = this.connection.send(this.range(key), this.call([key], deadline, isLarge));
    const isThere = this.absent.among([key]).length > 0 ? this.count([key], deadline) : undefined;
    return this.readOne(key, reply, isThere, deadline, isLarge);
  };

  /** The bytes under keys, in their order. On a server alone: keys of one command must lie in one slot of a Cluster. */
  readonly fetch = (keys: readonly string[], deadline: number): readonly Fetched[] | Promise<readonly Fetched[]> => {
    const fetched: Fetched[] = [];
    for (const some of chunks(keys, this.sizes.keysAtOnce(keys))) {
      const [key = ''] = some;
      const isOne = some.length === 1;
      const isLarge = isOne && this.sizes.isLarge(key);
      const doubtful = this.absent.among(some);
      // Sent from here, so that the way of a read to the socket is short.
      const words: RedisCommand = isOne ? this.range(key) : ['mget', ...some];
      const reply = this.connection.send(words, this.call(some, deadline, isLarge));
      const isThere = doubtful.length > 0 ? this.count(doubtful, deadline) : undefined;
      if (isOne) fetched.push(this.readOne(key, reply, isThere, deadline, isLarge));
      else {
        const found = this.readMany(some, reply, doubtful, isThere, deadline);
        if (some.length === keys.length) return found;
        fetched.push(...some.map((_, i) => found.then((list) => list[i])));
      }
    }
    return fetched;
  };

  /**
   * What there is under keys, with Redis told to say when it changes. The ttl shows in the same packet whether what is not found
   * is absent. Of a large record Redis is told by a read of its first byte, before it comes aside.
   */
  readonly fetchToKeep = (keys: readonly string[], deadline: number): readonly Promise<Keepable>[] => {
    const most = this.connection.isCluster ? 1 : this.sizes.keysAtOnce(keys);
    return chunks(keys, most).flatMap((some) => {
      const [key = ''] = some;
      const isOne = some.length === 1;
      const isLarge = isOne && this.sizes.isLarge(key);
      const one: RedisCommand = isLarge ? ['getrange', key, '0', '0'] : this.range(key);
      const read = this.readTracked(isOne ? one : ['mget', ...some], some, deadline);
      read.catch(() => this.sizes.forget(some));
      return some.map(async (each, i) => {
        const [{ reply, coverage }, left] = await Promise.all([read, this.read(['pttl', each], deadline)]);
        const bytes = filled(isOne ? reply : (reply as readonly RedisReply[])[i]);
        const ttl = ttlOf(left);
        if (ttl === undefined) return { bytes: undefined, ttl, coverage }; // or it has expired since
        if (isLarge && bytes) return { bytes: await this.fetchOne(each, deadline), ttl, coverage };
        if (isOne && bytes && bytes.length > REPLY)
          return { bytes: await this.fetchExceeding(each, deadline), ttl, coverage };
        this.sizes.see(each, bytes?.length ?? 0);
        if (bytes) return { bytes, ttl, coverage };
        const whole = await this.readTracked(['get', each], [each], deadline);
        return { bytes: toBytes(whole.reply), ttl, coverage: whole.coverage };
      });
    });
  };

  /** Of a record whose reply brought as much as one should, and not all of it. */
  private fetchExceeding(key: string, deadline: number): Promise<Buffer | undefined> {
    this.sizes.exceed(key);
    return this.fetchOne(key, deadline);
  }

  /** @returns also under what the answer may be kept */
  private async readTracked(words: RedisCommand, keys: readonly string[], deadline: number) {
    const [key = ''] = keys;
    let coverage: Coverage | undefined;
    const prelude: Call['prelude'] = (link) =>
      void (coverage = link && this.connection.feed.track(link, key, deadline));
    const reply = await this.connection.send(words, { ...this.call(keys, deadline, false), prelude });
    return { reply, coverage };
  }

  /** @param isThere - how many of the `doubtful` keys there are, if there are such keys */
  private async readMany(
    keys: readonly string[],
    reply: Promise<RedisReply>,
    doubtful: readonly string[],
    isThere: Promise<RedisReply> | undefined,
    deadline: number,
  ): Promise<readonly Fetched[]> {
    reply.catch(() => this.sizes.forget(keys));
    const [replies, count] = await Promise.all([reply, isThere]);
    const found = (replies as readonly RedisReply[]).map(filled);
    keys.forEach((key, i) => this.sizes.see(key, found[i]?.length ?? 0));
    if (doubtful.length === 0 && !found.includes(undefined)) return found;
    keys.forEach((key, i) => this.absent.learn(key, found[i] === undefined));
    const known = new Set(count === 0 ? doubtful : []);
    const missing = keys.filter((key, i) => found[i] === undefined && !known.has(key));
    if (missing.length === 0 || (await this.count(missing, deadline)) === 0) return found;
    // One of them is of another type, which is no fault of the others.
    return found.map((bytes, i) => bytes ?? this.fetchWhole(keys[i] ?? '', deadline));
  }

  private readOne(
    key: string,
    reply: Promise<RedisReply>,
    isThere: Promise<RedisReply> | undefined,
    deadline: number,
    isLarge: boolean,
  ): Promise<Buffer | undefined> {
    const read = (range: RedisReply, count?: RedisReply) => {
      const bytes = filled(range);
      this.absent.learn(key, bytes === undefined);
      if (!isLarge && bytes && bytes.length > REPLY) return this.fetchExceeding(key, deadline);
      this.sizes.see(key, bytes?.length ?? 0);
      return bytes ?? (count === 0 ? undefined : this.fetchWhole(key, deadline));
    };
    return isThere ? Promise.all([reply, isThere]).then(([range, count]) => read(range, count)) : reply.then(read);
  }

  /** A value that is larger is cut off where it can be, instead of being sent to us whole. */
  private range(key: string): RedisCommand {
    return ['getrange', key, '0', String(this.sizes.bytesToAskFor(key))];
  }

  private call(keys: readonly string[], deadline: number, aside: boolean): Call {
    const most = keys.length === 1 && !aside ? REPLY : Infinity;
    return { deadline, repeatable: true, aside, replySize: () => Math.min(this.sizes.replySize(keys), most) };
  }

  private fetchWhole(key: string, deadline: number): Promise<Buffer | undefined> {
    return this.read(['get', key], deadline).then(toBytes);
  }

  private count(keys: readonly string[], deadline: number): Promise<RedisReply> {
    return this.read(['exists', ...keys], deadline);
  }

  private read(command: RedisCommand, deadline: number): Promise<RedisReply> {
    return this.connection.send(command, { deadline, repeatable: true });
  }
}

/** A record is never empty: what is, stands for "not found", to begin with. */
function filled(reply: RedisReply | undefined): Buffer | undefined {
  return Buffer.isBuffer(reply) && reply.length > 0 ? reply : undefined;
}

/** What PTTL says: ms; `null`: it never expires; `undefined`: it is not there. */
export function ttlOf(reply: RedisReply): number | null | undefined {
  const left = Number(reply);
  if (left >= 0) return left;
  return left === -1 ? null : undefined;
}

/** Bytes of one's own, to be changed at will. */
export function copyOf(bytes: Buffer | undefined): Buffer | undefined {
  return bytes && Buffer.from(bytes);
}

export function toBytes(reply: RedisReply): Buffer | undefined {
  return Buffer.isBuffer(reply) ? reply : undefined;
}
