import type { CacheBackend } from '../backend/cache-backend.js';
import { RecordCipher } from '../record/cipher.js';
import { RecordCodec } from '../record/codec.js';
import { now } from '../redis-cache.timers.js';
import { Changes } from './changes.js';
import { Counters } from './counters.js';
import { KeyNaming } from './key-naming.js';
import { Loads } from './loads.js';
import { Moves } from './move.js';
import { openNearCache } from './near-cache.js';
import type { NearCache } from './near-cache.js';
import { Reads } from './reads.js';
import { Removal } from './removal.js';
import { Rewrites } from './rewrite.js';
import { SingleFlight } from './single-flight.js';
import type { StoreSettings } from './store-settings.js';
import { TagIndex } from './tag-index.js';
import { Walks } from './walks.js';
import { Watches } from './watches.js';
import { Writes } from './writes.js';

/** What a store and its scopes have in common. */
interface Common {
  readonly settings: StoreSettings;
  readonly backend: CacheBackend;
  readonly codec: RecordCodec;
  readonly near: NearCache | undefined;
  readonly watches: Watches;
}

/** What a store consists of, put together. */
export class Operations {
  static open(settings: StoreSettings, backend: CacheBackend): Operations {
    const { namespace, keyRing, hashKeys } = settings;
    const cipher = keyRing && new RecordCipher(keyRing, namespace);
    const naming = new KeyNaming(namespace, hashKeys ? cipher : undefined);
    const codec = new RecordCodec(settings, naming, cipher);
    const near = openNearCache(settings, backend, naming);
    return new Operations({ settings, backend, codec, near, watches: new Watches(settings, backend) }, naming);
  }

  readonly settings: StoreSettings;
  readonly backend: CacheBackend;
  readonly writes: Writes;
  readonly rewrites: Rewrites;
  readonly reads: Reads;
  readonly changes: Changes;
  readonly moves: Moves;
  readonly removal: Removal;
  readonly walks: Walks;
  readonly counters: Counters;
  readonly watches: Watches;
  readonly loads: Loads;
  readonly flights: SingleFlight;
  /** The moment by which a call that begins now must settle. */
  readonly deadline: () => number;

  private constructor(
    private readonly common: Common,
    readonly naming: KeyNaming,
  ) {
    const { settings, backend, codec, near } = common;
    const tags = new TagIndex(naming, backend);
    const deadline = () => now() + settings.timeout;
    this.deadline = deadline;
    this.settings = settings;
    this.backend = backend;
    this.writes = new Writes(settings, backend, naming, codec, tags);
    this.rewrites = new Rewrites(settings, backend, naming, codec, tags, this.writes);
    this.reads = new Reads(settings, backend, naming, codec, this.rewrites, near, deadline);
    this.changes = new Changes(backend, naming, tags, this.reads, this.writes, this.rewrites, deadline);
    this.moves = new Moves(settings, backend, naming, codec, tags, this.reads, this.writes, deadline);
    this.walks = new Walks(settings, backend, naming, codec, tags, deadline);
    const open = async (id: string, bytes: Buffer, until: number) => this.reads.decode(id, bytes, until);
    this.removal = new Removal(backend, naming, tags, this.walks, deadline, codec.readsPlainOnly ? undefined : open);
    this.watches = common.watches;
    this.counters = new Counters(settings, backend, naming, deadline);
    this.flights = SingleFlight.on(backend);
    this.loads = new Loads(naming, this.reads, this.writes, this.flights, deadline);
  }

  /** Deletes records, by different keys; how many of them were there. */
  async deleteRecords(keys: readonly string[]): Promise<number> {
    const ids = keys.map((key) => this.naming.id(key));
    const recordKeys = keys.map((key) => this.naming.locate(key));
    return this.flights.around(recordKeys, () => this.removal.records(ids));
  }

  /** Carries out a deletion of records that only Redis knows: afterwards there is neither a copy nor a load of any of them. */
  aroundAll<T>(deletion: () => Promise<T>): Promise<T> {
    // Also of what others deleted before: it is not found, and its invalidations may still be on the way.
    const { prefix } = this.naming;
    return this.flights.aroundAll(prefix, deletion).finally(() => this.backend.forgetAll(prefix));
  }

  /** The same, which also reads the records of another program: they are taken for as old as the moment, with the ttl of the store. */
  reading(value: (bytes: Buffer) => unknown): Operations {
    const header = () => ({ createdAt: this.backend.now(), ttl: this.settings.ttl, tags: [] });
    return new Operations({ ...this.common, codec: this.common.codec.reading({ value, header }) }, this.naming);
  }

  /** The same below a name. @throws CacheArgumentError */
  scope(name: string): Operations {
    return new Operations(this.common, this.naming.scope(name));
  }
}
