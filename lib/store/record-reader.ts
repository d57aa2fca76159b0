import { performance } from 'node:perf_hooks';
import type { CacheBackend } from '../backend/cache-backend.js';
import { CacheArgumentError, CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { GetOptions, ScanOptions } from '../redis-cache.options.js';
import { assertOptions } from './arguments.js';
import type { StoreSettings } from './store-settings.js';
import type { Keyspace } from './keyspace.js';
import { freezePlainData } from './near-cache.js';
import type { NearCache } from './near-cache.js';
import type { Decoded, RecordCodec } from '../record/codec.js';
import type { RecordWriter } from './record-writer.js';
import type { TagIndex } from './tag-index.js';

const GET_OPTIONS: readonly (keyof GetOptions)[] = ['touch'];
const SCAN_OPTIONS: readonly (keyof ScanOptions)[] = ['prefix', 'tag'];

interface ReadBytes {
  readonly bytes: Buffer;
  readonly ttl: number | null;
}

/** How records are read: one, extended on the way or from a local copy, or many. */
export class RecordReader {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly keyspace: Keyspace,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
    private readonly writer: RecordWriter,
    private readonly near: NearCache | undefined,
  ) {}

  /** The value of a record: the local copy, if it may be served now, else what Redis has. */
  value(key: string): Promise<unknown> {
    // Neither a hit nor a read passes through an async function, which would be a good part of what it costs.
    try {
      const copy = this.near?.get(this.keyspace.isReadable ? key : this.keyspace.id(key));
      if (copy?.value) return copy.value;
      // Bytes are decoded anew for every caller; a copy of them, since a serializer may give them out as they are.
      const found = copy?.bytes ? Promise.resolve(this.codec.decode(copy.id, Buffer.from(copy.bytes))) : this.read(key);
      return found.then((record) => record?.value);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The record, from Redis; a `sliding` store extends it when it is due, and a near cache keeps a copy. */
  read(key: string): Promise<Decoded | undefined> {
    const id = this.keyspace.id(key);
    const deadline = this.writer.deadline();
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

  private async readAndSlide(id: string, deadline: number): Promise<Decoded | undefined> {
    const record = await this.backend.getWithTtl(this.keyspace.recordKey(id), deadline);
    const found = record && (await this.codec.decode(id, record.bytes));
    if (record && found && this.writer.slideDueIn(found.header, record.ttl) <= 0) {
      await this.slide(id, record, found, deadline);
    }
    return found;
  }

  /** The value of a record; with `touch` it then lives for the ttl given (`true`: its own) from now on. */
  async valueWith(key: string, options: GetOptions): Promise<unknown> {
    assertOptions(options, GET_OPTIONS);
    const { touch = false } = options;
    if (touch === false) return this.value(key);
    const ttl = this.writer.touchTtl(touch === true ? undefined : touch);
    const id = this.keyspace.id(key);
    const deadline = this.writer.deadline();
    const found = await this.find(id, deadline);
    if (found) await this.writer.extend(id, ttl, deadline, found.bytes);
    return found?.value;
  }

  /** Records that are there; `undefined` in the place of the others. */
  async readMany(ids: readonly string[]): Promise<(Decoded | undefined)[]> {
    const deadline = this.writer.deadline();
    return Promise.all(ids.map((id) => this.find(id, deadline)));
  }

  /** The ids of records in batches, as Redis gives them; with hashed keys, `prefix` is left to the caller. */
  async *ids(options: ScanOptions = {}): AsyncIterable<readonly string[]> {
    assertOptions(options, SCAN_OPTIONS);
    const { prefix = '', tag } = options;
    if (typeof prefix !== 'string') throw new CacheArgumentError('prefix: must be a string');
    const idPrefix = this.keyspace.isReadable ? prefix : '';
    if (tag === undefined) {
      const batches = this.backend.scan(this.keyspace.prefix + idPrefix);
      for await (const batch of batches) yield batch.map((recordKey) => this.keyspace.idOf(recordKey));
      return;
    }
    for await (const batch of this.tags.records(this.keyspace.tagId(tag), this.writer.deadline)) {
      yield batch.map(({ id }) => id).filter((id) => id.startsWith(idPrefix));
    }
  }

  /** The keys of records; hashed ones stand in the records themselves. */
  async keysOf(ids: readonly string[], prefix = ''): Promise<readonly string[]> {
    if (this.keyspace.isReadable) return ids;
    const deadline = this.writer.deadline();
    const keys = await Promise.all(ids.map((id) => this.keyOf(id, deadline)));
    return keys.flatMap((key) => (key?.startsWith(prefix) ? [key] : []));
  }

  private async keyOf(id: string, deadline: number): Promise<string | undefined> {
    const bytes = await this.backend.get(this.keyspace.recordKey(id), deadline);
    return bytes && this.codec.key(id, bytes);
  }

  private find(id: string, deadline: number): Promise<Decoded | undefined> {
    const found = this.backend.get(this.keyspace.recordKey(id), deadline);
    return found.then((bytes) => bytes && this.codec.decode(id, bytes));
  }

  private async readAndKeep(near: NearCache, id: string, deadline: number): Promise<Decoded | undefined> {
    const begunAt = performance.now();
    const flight = near.begin(id);
    try {
      const record = await this.backend.getWithTtl(this.keyspace.recordKey(id), deadline);
      const found = record && (await this.codec.decode(id, record.bytes));
      if (!record || !found) return undefined;
      const slideIn = this.settings.sliding ? this.writer.slideDueIn(found.header, record.ttl) : Infinity;
      const until = begunAt + Math.min(record.ttl ?? Infinity, slideIn);
      // A copy, since the bytes may be a small part of what came with them.
      const copy = freezePlainData(found.value)
        ? { value: Promise.resolve(found.value) }
        : { bytes: Buffer.from(found.bytes) };
      near.keep(flight, { id, ...copy, until, usedAt: performance.now() });
      if (slideIn <= 0) await this.slide(id, record, found, deadline);
      return found;
    } finally {
      near.end(id, flight);
    }
  }

  /** A read whose extension is refused or lost was a good read; the record lives on for its running ttl. */
  private async slide(id: string, { bytes, ttl }: ReadBytes, { header }: Decoded, deadline: number): Promise<void> {
    try {
      if (ttl !== null) await this.writer.slide(id, bytes, header, ttl, deadline);
    } catch (error) {
      if (!(error instanceof CacheCommandError || error instanceof CacheUnavailableError)) throw error;
    }
  }
}
