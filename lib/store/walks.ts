import type { CacheBackend } from '../backend/cache-backend.js';
import type { RecordCodec } from '../record/codec.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { ScanOptions } from '../redis-cache.options.js';
import { assertOptions } from './arguments.js';
import type { Keyspace } from './keyspace.js';
import type { OnUnreadable, TagIndex } from './tag-index.js';

const SCAN_OPTIONS: readonly (keyof ScanOptions)[] = ['prefix', 'tag'];

/** Walks over the records of a namespace, or over those that have a tag. */
export class Walks {
  constructor(
    private readonly backend: CacheBackend,
    private readonly keyspace: Keyspace,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
    private readonly deadline: () => number,
  ) {}

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
    for await (const batch of this.tags.records(this.keyspace.tagId(tag), this.deadline, this.onUnreadable)) {
      yield batch.map(({ id }) => id).filter((id) => id.startsWith(idPrefix));
    }
  }

  /** The keys of records; hashed ones stand in the records themselves. */
  async keysOf(ids: readonly string[], prefix = ''): Promise<readonly string[]> {
    if (this.keyspace.isReadable) return ids;
    const deadline = this.deadline();
    const keys = await Promise.all(ids.map((id) => this.keyOf(id, deadline)));
    return keys.flatMap((key) => (key?.startsWith(prefix) ? [key] : []));
  }

  private async keyOf(id: string, deadline: number): Promise<string | undefined> {
    const bytes = await this.backend.get(this.keyspace.recordKey(id), deadline);
    return bytes && this.codec.key(id, bytes);
  }

  private readonly onUnreadable: OnUnreadable = (_, error) => this.codec.corrupt(error);
}
