import { performance } from 'node:perf_hooks';
import type { CacheBackend } from '../backend/cache-backend.js';
import type { Decoded, RecordCodec } from '../record/codec.js';
import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { GetOptions } from '../redis-cache.options.js';
import { assertOptions } from './arguments.js';
import { rejectAtCaller } from './caller-stack.js';
import { isTooOld, slideDueIn, touchTtl } from './expiry.js';
import type { Keyspace } from './keyspace.js';
import { freezePlainData } from './near-cache.js';
import type { NearCache } from './near-cache.js';
import type { Rewrites } from './rewrite.js';
import type { StoreSettings } from './store-settings.js';
import { recordHead } from './tag-index.js';

const GET_OPTIONS: readonly (keyof GetOptions)[] = ['touch'];

/** How values are read: one, extended on the way or from a local copy, or many. */
export class Reads {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly keyspace: Keyspace,
    private readonly codec: RecordCodec,
    private readonly rewrites: Rewrites,
    private readonly near: NearCache | undefined,
    private readonly deadline: () => number,
  ) {}

  /** The value of a record: the local copy, if it may be served now, else what Redis has. */
  value(key: string): Promise<unknown> {
    // Neither a hit nor a read passes through an async function, which would be a good part of what it costs.
    try {
      const copy = this.near?.get(this.keyspace.isReadable ? this.keyspace.fullKey(key) : this.keyspace.id(key));
      if (copy?.value) return copy.value;
      // Bytes are decoded anew for every caller; a copy of them, since a serializer may give them out as they are.
      const found = copy?.bytes ? Promise.resolve(this.codec.decode(copy.id, Buffer.from(copy.bytes))) : this.read(key);
      return found.then((record) => record?.value, rejectAtCaller);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The record, from Redis; a `sliding` store extends it when it is due, and a near cache keeps a copy. */
  read(key: string): Promise<Decoded | undefined> {
    const id = this.keyspace.id(key);
    const deadline = this.deadline();
    if (this.near) return this.readAndKeep(this.near, id, deadline);
    return this.settings.sliding ? this.readAndSlide(id, deadline) : this.find(id, deadline);
  }

  /**
   * Carries out a deletion of records that only Redis knows. Afterwards there is no copy of any: what others deleted before it
   * is not found by it, and their invalidations may still be on the way.
   */
  async withoutCopies<T>(deletion: () => Promise<T>): Promise<T> {
    try {
      return await deletion();
    } finally {
      this.near?.forgetAll();
    }
  }

  /** The value of a record; with `touch` it then lives for the ttl given (`true`: its own) from now on. */
  valueWith(key: string, options: GetOptions): Promise<unknown> {
    return this.touched(key, options).then(undefined, rejectAtCaller);
  }

  private async touched(key: string, options: GetOptions): Promise<unknown> {
    assertOptions(options, GET_OPTIONS);
    const { touch = false } = options;
    if (touch === false) return this.value(key);
    const ttl = touchTtl(touch === true ? undefined : touch);
    const id = this.keyspace.id(key);
    const deadline = this.deadline();
    const found = await this.find(id, deadline);
    if (found) await this.rewrites.extend(id, ttl, deadline, recordHead(id, found.bytes));
    return found?.value;
  }

  /** Records that are there; `undefined` in the place of the others. */
  async many(ids: readonly string[]): Promise<(Decoded | undefined)[]> {
    const deadline = this.deadline();
    return Promise.all(ids.map((id) => this.find(id, deadline)));
  }

  /** The value in a record's bytes; `undefined` if that is too old to be read. */
  async decode(id: string, bytes: Buffer): Promise<Decoded | undefined> {
    return this.young(await this.codec.decode(id, bytes));
  }

  private find(id: string, deadline: number): Promise<Decoded | undefined> {
    const found = this.backend.get(this.keyspace.recordKey(id), deadline);
    return found.then((bytes) => bytes && this.decode(id, bytes));
  }

  private young(found: Decoded | undefined): Decoded | undefined {
    return found && isTooOld(this.settings, found.header, this.backend.now()) ? undefined : found;
  }

  private async readAndSlide(id: string, deadline: number): Promise<Decoded | undefined> {
    const record = await this.backend.getWithTtl(this.keyspace.recordKey(id), deadline);
    const found = record && (await this.decode(id, record.bytes));
    if (record && found && slideDueIn(this.settings, found.header, record.ttl, this.backend.now()) <= 0) {
      await this.slide(found, record.ttl, deadline);
    }
    return found;
  }

  private async readAndKeep(near: NearCache, id: string, deadline: number): Promise<Decoded | undefined> {
    const begunAt = performance.now();
    const flight = near.begin(id);
    try {
      const record = await this.backend.getWithTtl(this.keyspace.recordKey(id), deadline);
      const found = record && (await this.decode(id, record.bytes));
      if (!record || !found) return undefined;
      const { createdAt } = found.header;
      const now = this.backend.now();
      const slideIn = slideDueIn(this.settings, found.header, record.ttl, now);
      const agesIn = createdAt + (this.settings.maxAge ?? Infinity) - now;
      const until = begunAt + Math.min(record.ttl ?? Infinity, slideIn, agesIn);
      // A copy, since the bytes may be a small part of what came with them.
      const copy =
        this.codec.makesValues && freezePlainData(found.value)
          ? { value: Promise.resolve(found.value) }
          : { bytes: Buffer.from(found.bytes) };
      near.keep(flight, { id, ...copy, until, usedAt: performance.now() });
      if (slideIn <= 0) await this.slide(found, record.ttl, deadline);
      return found;
    } finally {
      near.end(id, flight);
    }
  }

  /** A read whose extension is refused or lost was a good read; the record lives on for its running ttl. */
  private async slide({ id, bytes }: Decoded, left: number | null, deadline: number): Promise<void> {
    try {
      if (left !== null) await this.rewrites.slide(recordHead(id, bytes), left, deadline);
    } catch (error) {
      if (!(error instanceof CacheCommandError || error instanceof CacheUnavailableError)) throw error;
    }
  }
}
