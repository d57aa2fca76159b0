import type { RedisConnection } from '../connection/redis-connection.js';
import type { Call, RedisCommand, RedisReply } from '../connection/call.js';
import type { Coverage, Keepable } from './cache-backend.js';
import type { Fetched } from './read-batcher.js';
import { namespaceOf, type RecordSizes } from './record-sizes.js';
import { chunks } from './writes-in-parts.js';

/**
 * How the bytes under keys are asked for.
 *
 * GETRANGE is as fast as GET and sends no more than is allowed, but says '' of a key that is not there; MGET says null also of
 * a key of another type. So what they do not find is looked at again before it is called absent: of a store whose last read
 * found nothing, as with a deny-list, at once and in the same packet, else in a second round trip.
 */
export class RedisReads {
  private readonly lastByte: string;
  /** The namespaces whose last read found nothing. */
  private readonly sparse = new Set<string>();

  /** A value larger than `maxBytes` is cut off one byte later where it can be, instead of being sent to us whole. */
  constructor(
    private readonly connection: RedisConnection,
    maxBytes: number,
    private readonly sizes: RecordSizes,
  ) {
    this.lastByte = String(maxBytes);
  }

  /** The bytes under keys, in their order. */
  readonly fetch = (keys: readonly string[], deadline: number): readonly Fetched[] | Promise<readonly Fetched[]> => {
    const most = this.connection.isCluster ? 1 : this.sizes.keysAtOnce(keys);
    if (most > 1 && keys.length > 1) {
      if (keys.length <= most) return this.fetchMany(keys, deadline);
      return chunks(keys, most).flatMap((chunk) => {
        if (chunk.length === 1) return chunk.map((key) => this.fetchOne(key, deadline));
        const found = this.fetchMany(chunk, deadline);
        return chunk.map((_, i) => found.then((list) => list[i]));
      });
    }
    return keys.map((key) => (this.isSparse(key) ? this.fetchSparse(key, deadline) : this.fetchOne(key, deadline)));
  };

  /**
   * What there is under a key, with Redis told to say when it changes. The ttl shows in the same packet whether what is not found
   * is absent.
   */
  async fetchToKeep(key: string, deadline: number): Promise<Keepable> {
    let coverage: Coverage | undefined;
    const prelude: Call['prelude'] = (link) =>
      void (coverage = link && this.connection.feed.track(link, key, deadline));
    const read = (command: RedisCommand) => this.connection.send(command, { deadline, repeatable: true, prelude });
    const [range, left] = await Promise.all([read(this.range(key)), this.read(['pttl', key], deadline)]);
    const ttl = ttlOf(left);
    const bytes = filled(range) ?? (ttl === undefined ? undefined : toBytes(await read(['get', key])));
    return { bytes, ttl, coverage };
  }

  private async fetchMany(keys: readonly string[], deadline: number): Promise<readonly Fetched[]> {
    const doubtful = this.sparse.size > 0 ? keys.filter((key) => this.isSparse(key)) : [];
    const mget = this.read(['mget', ...keys], deadline).catch((error: unknown) => {
      this.sizes.forget(keys);
      throw error;
    });
    const count = doubtful.length > 0 ? this.count(doubtful, deadline) : undefined;
    const [replies, isThere] = await Promise.all([mget, count]);
    const found = (replies as readonly RedisReply[]).map(filled);
    keys.forEach((key, i) => this.sizes.see(key, found[i]?.length ?? 0));
    if (doubtful.length === 0 && !found.includes(undefined)) return found;
    keys.forEach((key, i) => this.learn(key, found[i]));
    const absent = new Set(isThere === 0 ? doubtful : []);
    const missing = keys.filter((key, i) => found[i] === undefined && !absent.has(key));
    if (missing.length === 0 || (await this.count(missing, deadline)) === 0) return found;
    return found.map((bytes, i) => bytes ?? this.fetchOne(keys[i] ?? '', deadline));
  }

  private fetchOne(key: string, deadline: number): Promise<Buffer | undefined> {
    const range = this.read(this.range(key), deadline);
    return range.then((reply) => {
      const bytes = this.learn(key, filled(reply));
      this.sizes.see(key, bytes?.length ?? 0);
      return bytes ?? this.fetchWhole(key, deadline);
    });
  }

  private async fetchSparse(key: string, deadline: number): Promise<Buffer | undefined> {
    const [reply, isThere] = await Promise.all([this.read(this.range(key), deadline), this.count([key], deadline)]);
    return this.learn(key, filled(reply)) ?? (isThere === 0 ? undefined : this.fetchWhole(key, deadline));
  }

  private range(key: string): RedisCommand {
    return ['getrange', key, '0', this.lastByte];
  }

  private fetchWhole(key: string, deadline: number): Promise<Buffer | undefined> {
    return this.read(['get', key], deadline).then(toBytes);
  }

  private count(keys: readonly string[], deadline: number): Promise<RedisReply> {
    return this.read(['exists', ...keys], deadline);
  }

  private isSparse(key: string): boolean {
    return this.sparse.size > 0 && this.sparse.has(namespaceOf(key));
  }

  private learn(key: string, bytes: Buffer | undefined): Buffer | undefined {
    if (bytes === undefined) this.sparse.add(namespaceOf(key));
    else if (this.sparse.size > 0) this.sparse.delete(namespaceOf(key));
    return bytes;
  }

  private read(command: RedisCommand, deadline: number): Promise<RedisReply> {
    return this.connection.send(command, { deadline, repeatable: true });
  }
}

/** A record is never empty: what is, stands for "not found", to begin with. */
function filled(reply: RedisReply): Buffer | undefined {
  return Buffer.isBuffer(reply) && reply.length > 0 ? reply : undefined;
}

/** What PTTL says: ms; `null`: it never expires; `undefined`: it is not there. */
export function ttlOf(reply: RedisReply): number | null | undefined {
  const left = Number(reply);
  if (left >= 0) return left;
  return left === -1 ? null : undefined;
}

export function toBytes(reply: RedisReply): Buffer | undefined {
  return Buffer.isBuffer(reply) ? reply : undefined;
}
