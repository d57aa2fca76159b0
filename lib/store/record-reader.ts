import type { CacheBackend } from '../backend/cache-backend.js';
import { CacheArgumentError, CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { ScanOptions, StoreSettings } from '../redis-cache.options.js';
import type { Keyspace } from './keyspace.js';
import { freezePlainData } from './near-cache.js';
import type { NearCache, NearEntry } from './near-cache.js';
import type { Decoded, RecordCodec } from './record-codec.js';
import type { RecordWriter } from './record-writer.js';
import type { TagIndex } from './tag-index.js';

/** A record as it was read. */
export interface Found extends Decoded {
  readonly bytes: Buffer;
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

  /** The record, from Redis; a `sliding` store extends it when it is due, and a near cache keeps a copy. */
  async read(key: string): Promise<Found | undefined> {
    const recordKey = this.keyspace.recordKey(key);
    const deadline = this.writer.deadline();
    if (this.near) return this.readAndKeep(this.near, key, recordKey, deadline);
    if (!this.settings.sliding) return this.decode(await this.backend.get(recordKey, deadline));
    const record = await this.backend.getWithTtl(recordKey, deadline);
    const found = await this.decode(record?.bytes);
    if (record && found) await this.slide(key, record.bytes, record.ttl, deadline);
    return found;
  }

  /** The record, which then lives for `ttl` ms (absent: its own ttl) from now on. */
  async readAndTouch(key: string, ttl: number | undefined): Promise<Found | undefined> {
    const deadline = this.writer.deadline();
    const found = await this.decode(await this.backend.get(this.keyspace.recordKey(key), deadline));
    if (found) await this.writer.extend(key, ttl, deadline, found.bytes);
    return found;
  }

  /** The values of records that are there; `undefined` in the place of the others. */
  async readMany(recordKeys: readonly string[]): Promise<(Found | undefined)[]> {
    const deadline = this.writer.deadline();
    return Promise.all(recordKeys.map(async (key) => this.decode(await this.backend.get(key, deadline))));
  }

  /** A local copy that may be served now. */
  nearby(key: string): NearEntry | undefined {
    return this.near?.get(key);
  }

  async decode(bytes: Buffer | undefined): Promise<Found | undefined> {
    const decoded = bytes && (await this.codec.decode(bytes));
    return bytes && decoded && { bytes, value: decoded.value };
  }

  /** Keys in batches, as Redis gives them. */
  async *batches({ prefix = '', tag }: ScanOptions = {}): AsyncIterable<readonly string[]> {
    if (typeof prefix !== 'string') throw new CacheArgumentError('prefix: must be a string');
    if (tag === undefined) {
      const batches = this.backend.scan(this.keyspace.prefix + prefix);
      for await (const batch of batches) yield batch.map((recordKey) => this.keyspace.keyOf(recordKey));
      return;
    }
    for await (const batch of this.tags.records(tag, this.writer.deadline)) {
      yield batch.map(({ key }) => key).filter((key) => key.startsWith(prefix));
    }
  }

  private async readAndKeep(
    near: NearCache,
    key: string,
    recordKey: string,
    deadline: number,
  ): Promise<Found | undefined> {
    const flight = near.begin(key);
    try {
      const record = await this.backend.getWithTtl(recordKey, deadline);
      const found = await this.decode(record?.bytes);
      if (!record || !found) return undefined;
      const frozen = freezePlainData(found.value);
      const slideIn = this.settings.sliding ? this.writer.slideDueIn(record.bytes, record.ttl) : Infinity;
      const until = flight.begunAt + Math.min(record.ttl ?? Infinity, slideIn);
      near.keep(key, flight, { value: frozen ? found.value : undefined, bytes: found.bytes, until });
      if (slideIn <= 0) await this.slide(key, record.bytes, record.ttl, deadline);
      return found;
    } finally {
      near.end(key, flight);
    }
  }

  /** A read whose extension is refused or lost was a good read; the record lives on for its running ttl. */
  private async slide(key: string, bytes: Buffer, left: number | null, deadline: number): Promise<void> {
    try {
      await this.writer.slide(key, bytes, left, deadline);
    } catch (error) {
      if (!(error instanceof CacheCommandError || error instanceof CacheUnavailableError)) throw error;
    }
  }
}
