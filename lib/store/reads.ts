import type { CacheBackend } from '../backend/cache-backend.js';
import type { Decoded, RecordCodec } from '../record/codec.js';
import { headOf } from '../record/layout.js';
import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { GetOptions } from '../redis-cache.options.js';
import { now, wallNow } from '../redis-cache.timers.js';
import { assertOptions } from '../redis-cache.arguments.js';
import { rejecting } from './caller-stack.js';
import { isTooOld, slideDueIn, tooOldAt, touchTtl } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import type { NearCache } from './near-cache.js';
import { freezePlainData } from './plain-data.js';
import type { Rewrites } from './rewrite.js';
import type { StoreSettings } from './store-settings.js';

/** About what a local copy takes besides its value and its key. In bytes. */
const ENTRY_BYTES = 400;

const GET_OPTIONS: readonly (keyof GetOptions)[] = ['touch'];

/** How values are read: one, extended on the way or from a local copy, or many. */
export class Reads {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly codec: RecordCodec,
    private readonly rewrites: Rewrites,
    private readonly near: NearCache | undefined,
    private readonly deadline: () => number,
  ) {}

  /**
   * The value of a record: the local copy, if it may be served now, else what Redis has. With `touch` it then lives for the ttl
   * given (`true`: its own) from now on.
   */
  get(key: string, options: GetOptions | undefined): Promise<unknown> {
    if (options !== undefined) return this.touched(key, options).then(undefined, rejecting(key));
    // A hit passes through no async function, with which it takes 1.6 times as long (bench/micro.mjs).
    try {
      return this.copy(key) ?? this.fetch(key, this.deadline(), true);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The value of the local copy, if there is one that may be served now. */
  copy(key: string): Promise<unknown> | undefined {
    const copy = this.near?.get(this.naming.id(key));
    if (!copy?.bytes) return copy?.value;
    // Bytes are decoded anew for every caller; a copy of them, since a serializer may give them out as they are.
    return Promise.resolve(this.codec.decode(copy.id, Buffer.from(copy.bytes))).then(
      (record) => record?.value,
      rejecting(key),
    );
  }

  /** Whether there is a record, or a local copy of one. */
  async has(key: string): Promise<boolean> {
    const id = this.naming.id(key);
    return (
      this.near?.get(id) !== undefined ||
      this.told(id, await this.backend.has(this.naming.recordKey(id), this.deadline()))
    );
  }

  /** The ms a record has left; `null`: for ever; `undefined`: there is none. */
  async ttl(key: string): Promise<number | null | undefined> {
    const id = this.naming.id(key);
    return this.told(id, await this.backend.ttl(this.naming.recordKey(id), this.deadline()));
  }

  /** The values of records, in the order of their keys. */
  async values(keys: readonly string[]): Promise<unknown[]> {
    for (const key of keys) this.naming.id(key); // says what is wrong with them
    const deadline = this.deadline();
    return Promise.all(keys.map((key) => this.copy(key) ?? this.fetch(key, deadline, false)));
  }

  /**
   * The value of a record, from Redis. Where nothing is to be waited for it is made when its bytes come: with a promise for each step
   * of that, a `get` of 512 callers takes 1.1 times as long (bench/micro.mjs).
   */
  private fetch(key: string, deadline: number, maySlide: boolean): Promise<unknown> {
    const reject = rejecting(key);
    if (this.near || (maySlide && this.settings.sliding)) {
      return this.read(key, deadline, maySlide).then(this.handOut, reject);
    }
    const id = this.naming.id(key);
    return this.backend.get(this.naming.recordKey(id), deadline).then((bytes) => {
      try {
        const found = bytes && this.decode(id, bytes, deadline);
        return found instanceof Promise ? found.then(this.handOut, reject) : this.handOut(found);
      } catch (error) {
        return reject(error);
      }
    }, reject);
  }

  /** The record, from Redis; a `sliding` store extends it when it is due, if it may, and a near cache keeps a copy. */
  async read(key: string, deadline = this.deadline(), maySlide = true): Promise<Decoded | undefined> {
    const id = this.naming.id(key);
    if (this.near) return this.readAndKeep(this.near, id, deadline, maySlide);
    if (maySlide && this.settings.sliding) return this.readAndSlide(id, deadline);
    const bytes = await this.backend.get(this.naming.recordKey(id), deadline);
    return bytes && this.decode(id, bytes, deadline);
  }

  private async touched(key: string, options: GetOptions): Promise<unknown> {
    assertOptions(options, GET_OPTIONS);
    const { touch = false } = options;
    if (touch === false) return this.get(key, undefined);
    const ttl = touchTtl(touch === true ? undefined : touch);
    const id = this.naming.id(key);
    const deadline = this.deadline();
    const bytes = await this.backend.get(this.naming.recordKey(id), deadline);
    const begun = now();
    const found = bytes && (await this.decode(id, bytes, deadline)); // a schema takes its own time
    if (found) await this.rewrites.extend(id, ttl, deadline + now() - begun, { ...found, head: headOf(found.bytes) });
    return this.handOut(found);
  }

  /** The value of a record: in a store with a near cache plain data is frozen from the first answer on, whether there are copies or not. */
  readonly handOut = (found: Decoded | undefined): unknown => {
    const value = found?.value;
    if (this.settings.nearCache && this.codec.makesValues && !Object.isFrozen(value)) freezePlainData(value);
    return value;
  };

  /** The value in a record's bytes, as `RecordCodec.decode` gives it; `undefined` if that is too old to be read. */
  decode(id: string, bytes: Buffer, until?: number): Decoded | undefined | Promise<Decoded | undefined> {
    const found = this.codec.decode(id, bytes, until);
    return found instanceof Promise ? found.then(this.unlessTooOld) : this.unlessTooOld(found);
  }

  private readonly unlessTooOld = (found: Decoded | undefined): Decoded | undefined =>
    found && isTooOld(this.settings, found.header, this.backend.now()) ? undefined : found;

  private async readAndSlide(id: string, deadline: number): Promise<Decoded | undefined> {
    const recordKey = this.naming.recordKey(id);
    // Two commands, of which the first shares one with other reads. If somebody writes in between, `slide` sees to it.
    const [bytes, left] = await Promise.all([
      this.backend.get(recordKey, deadline),
      this.backend.ttl(recordKey, deadline),
    ]);
    const begun = now();
    const found = bytes && left !== undefined ? await this.decode(id, bytes, deadline) : undefined;
    if (found && left !== undefined && slideDueIn(this.settings, found.header, left, this.backend.now()) <= 0) {
      await this.slide(found, left, deadline + now() - begun);
    }
    return found;
  }

  private async readAndKeep(
    near: NearCache,
    id: string,
    deadline: number,
    maySlide: boolean,
  ): Promise<Decoded | undefined> {
    const [begunAt, begunAtByWall] = [now(), wallNow()];
    const flight = near.begin(id);
    try {
      const { bytes, ttl = null, coverage } = await this.backend.getToKeep(this.naming.recordKey(id), deadline);
      // Whatever copy there is, this is newer.
      near.drop(id);
      const answeredAt = now();
      const found = bytes && (await this.decode(id, bytes, deadline));
      const spent = now() - answeredAt;
      if (!found) return undefined;
      const clock = this.backend.now();
      const slideIn = slideDueIn(this.settings, found.header, ttl, clock);
      const life = Math.min(ttl ?? Infinity, slideIn, tooOldAt(this.settings, found.header) - clock);
      const [until, untilByWall] = [begunAt + life, begunAtByWall + life];
      const frozen = this.codec.makesValues ? freezePlainData(found.value) : undefined;
      // A copy, since the bytes may be a small part of what came with them.
      const copy = frozen === undefined ? { bytes: Buffer.from(found.bytes) } : { value: Promise.resolve(found.value) };
      const size = ENTRY_BYTES + 2 * id.length + (frozen ?? found.bytes.length);
      if (coverage) near.keep(flight, { id, ...copy, size, coverage, until, untilByWall, usedAt: now() });
      if (maySlide && slideIn <= 0) await this.slide(found, ttl, deadline + spent);
      return found;
    } finally {
      near.end(id, flight);
    }
  }

  /** What Redis has said of a record: if it is gone, nobody may find a copy of it any more. */
  private told<T>(id: string, answer: T): T {
    if (answer === undefined || answer === false) this.backend.forget(this.naming.recordKey(id));
    return answer;
  }

  /** A read whose extension is refused or lost was a good read; the record lives on for its running ttl. */
  private async slide(found: Decoded, left: number | null, deadline: number): Promise<void> {
    try {
      if (left !== null) await this.rewrites.slide({ ...found, head: headOf(found.bytes) }, left, deadline);
    } catch (error) {
      if (!(error instanceof CacheCommandError || error instanceof CacheUnavailableError)) throw error;
    }
  }
}
