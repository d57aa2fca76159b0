import { HEAD_PREFIX_BYTES, isPlainRecord, taggedHead } from '../record/layout.js';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { setImmediate as nextTurn } from '../redis-cache.timers.js';
import type { CacheBackend, Change, Expiry, HeadChange, Keepable, LocalCopies } from './cache-backend.js';
import type { Count, Hit, HitResult } from './counters.js';
import type { IndexMember, Membership } from './indexes.js';
import { MemoryCounters } from './memory-counters.js';
import { MemoryIndexes } from './memory-indexes.js';

interface Entry {
  readonly bytes: Buffer;
  /** In ms since the epoch; Infinity: never. */
  readonly expiresAt: number;
}

/** Every so many writes, what has expired is removed, so that records nobody asks for again do not pile up. */
const SWEEP_EVERY = 1000;
const BATCH = 1000;
/** One in so many answers comes in the next turn of the event loop, or callers that ask again at once would let no timer run. */
const TURN_EVERY = 64;

const NO_BYTES = Buffer.alloc(0);

/**
 * The port over a Map in this process: for a first run and for tests of applications. Bytes are copied on the way in and
 * out, so that a record behaves as one in Redis does. It has no timer; time is `Date.now()`, so fake timers work.
 */
export class MemoryBackend implements CacheBackend {
  readonly generation = 0;
  private readonly entries = new Map<string, Entry>();
  private readonly indexes = new MemoryIndexes();
  private readonly counters = new MemoryCounters();
  private readonly told = new Set<LocalCopies>();
  private writes = 0;
  private answers = 0;

  /** `isOpen` tells whether the application is between its start and its shutdown. */
  constructor(private readonly isOpen: () => boolean) {}

  now(): number {
    return Date.now();
  }

  async get(key: string): Promise<Buffer | undefined> {
    const entry = this.find(key);
    return this.answer(entry && Buffer.from(entry.bytes));
  }

  async getWithTtl(key: string): Promise<{ bytes: Buffer; ttl: number | null } | undefined> {
    const entry = this.find(key);
    return this.answer(entry && { bytes: Buffer.from(entry.bytes), ttl: timeLeft(entry) });
  }

  async heads(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    return this.answer(keys.map((key) => headOf(this.find(key))));
  }

  async set(key: string, bytes: Buffer, expiry: Expiry): Promise<void> {
    this.write(key, bytes, expiry);
    return this.answer(undefined);
  }

  async swap(key: string, bytes: Buffer, expiry: Expiry): Promise<Buffer | undefined> {
    const overwritten = this.find(key);
    this.write(key, bytes, expiry);
    return this.answer(overwritten && taggedHead(overwritten.bytes));
  }

  async setIfAbsent(key: string, bytes: Buffer, expiry: Expiry): Promise<boolean> {
    const isAbsent = !this.find(key);
    if (isAbsent) this.write(key, bytes, expiry);
    return this.answer(isAbsent);
  }

  async compareAndSet(key: string, expected: Buffer, change: Change): Promise<boolean> {
    const entry = this.find(key);
    return this.answer(entry?.bytes.equals(expected) === true && this.change(key, entry, change));
  }

  async compareHead(key: string, head: Buffer, change: HeadChange): Promise<boolean> {
    const entry = this.find(key);
    if (!entry?.bytes.subarray(0, head.length).equals(head)) return this.answer(false);
    if (change === 'delete') return this.answer(this.drop(key));
    if ((timeLeft(entry) ?? Infinity) > (change.ifLeft ?? Infinity)) return this.answer(false);
    this.write(key, entry.bytes, change.expire);
    return this.answer(true);
  }

  async take(key: string): Promise<Buffer | undefined> {
    const entry = this.find(key);
    if (!entry || isPlainRecord(entry.bytes)) this.drop(key);
    return this.answer(entry && Buffer.from(entry.bytes));
  }

  async has(key: string): Promise<boolean> {
    return this.answer(this.find(key) !== undefined);
  }

  async ttl(key: string): Promise<number | null | undefined> {
    const entry = this.find(key);
    return this.answer(entry && timeLeft(entry));
  }

  async delete(keys: readonly string[]): Promise<(Buffer | undefined)[]> {
    this.assertOpen();
    return this.answer(keys.map((key) => this.remove(key)));
  }

  async *scan(...prefixes: readonly string[]): AsyncIterable<readonly string[]> {
    this.sweep();
    const all = [...this.entries.keys(), ...this.indexes.keys(), ...this.counters.keys()];
    const keys = all.filter((key) => prefixes.some((prefix) => key.startsWith(prefix)));
    const isThere = (key: string) => this.find(key) ?? (this.indexes.has(key) || this.counters.has(key));
    for (let i = 0; i < keys.length; i += BATCH) yield await this.answer(keys.slice(i, i + BATCH).filter(isThere));
  }

  async addToIndex(index: string, member: string, membership: Membership): Promise<number> {
    this.assertOpen();
    return this.answer(this.indexes.add(index, member, membership));
  }

  async admitToIndex(index: string, member: string, membership: Membership, most: number): Promise<boolean> {
    this.assertOpen();
    const hasRoom = this.indexes.hasRoom(index, membership, most);
    if (hasRoom) this.indexes.add(index, member, membership);
    return this.answer(hasRoom);
  }

  async removeFromIndex(index: string, members: readonly string[]): Promise<void> {
    this.assertOpen();
    return this.answer(this.indexes.remove(index, members));
  }

  async *indexMembers(index: string): AsyncIterable<readonly IndexMember[]> {
    this.assertOpen();
    for (const page of this.indexes.pages(index)) yield await this.answer(page);
  }

  async hit(key: string, hit: Hit): Promise<HitResult> {
    this.countWrite();
    return this.answer(this.counters.hit(key, hit));
  }

  async counter(key: string): Promise<Count | undefined> {
    this.assertOpen();
    return this.answer(this.counters.read(key));
  }

  async getToKeep(key: string): Promise<Keepable> {
    const found = await this.getWithTtl(key);
    return { bytes: found?.bytes, ttl: found?.ttl, coverage: undefined };
  }

  /** Copies are of no use, since everything is local already; but others may want to be told. */
  watch(_prefix: string, _lease: number, copies: LocalCopies): boolean {
    this.told.add(copies);
    return false;
  }

  forget(key: string): void {
    for (const copies of this.told) copies.forget(key);
  }

  forgetAll(): void {
    for (const copies of this.told) copies.forgetAll();
  }

  /** What a method has done or found: at once, or when the timers that are due have run. */
  private answer<T>(answer: T): T | Promise<T> {
    if (++this.answers % TURN_EVERY !== 0) return answer;
    return new Promise((resolve) => nextTurn(() => resolve(answer)));
  }

  private change(key: string, entry: Entry, change: Change): boolean {
    if (change === 'delete') return this.drop(key);
    const { set, expiry } = change;
    if (expiry === 'never' || !('keepUpTo' in expiry)) this.write(key, set, expiry);
    else if (entry.expiresAt > expiry.keepUpTo) return false;
    else this.write(key, set, { at: entry.expiresAt });
    return true;
  }

  private remove(key: string): Buffer | undefined {
    const entry = this.find(key);
    if (!entry) return this.indexes.delete(key) || this.counters.delete(key) ? NO_BYTES : undefined;
    this.drop(key);
    return taggedHead(entry.bytes) ?? NO_BYTES;
  }

  private find(key: string): Entry | undefined {
    this.assertOpen();
    const entry = this.entries.get(key);
    if (!entry || entry.expiresAt > Date.now()) return entry;
    this.entries.delete(key);
    return undefined;
  }

  private write(key: string, bytes: Buffer, expiry: Expiry): void {
    this.countWrite();
    this.entries.set(key, { bytes: Buffer.from(bytes), expiresAt: moment(expiry) });
    this.forget(key);
  }

  private drop(key: string): boolean {
    const isGone = this.entries.delete(key);
    this.forget(key);
    return isGone;
  }

  private countWrite(): void {
    this.assertOpen();
    if (++this.writes % SWEEP_EVERY === 0) this.sweep();
  }

  private sweep(): void {
    this.assertOpen();
    this.counters.sweep();
    for (const [key, { expiresAt }] of this.entries) if (expiresAt <= Date.now()) this.entries.delete(key);
    this.indexes.sweep();
  }

  private assertOpen(): void {
    if (this.isOpen()) return;
    throw new CacheUnavailableError('closed', 'not-sent', 'the application is not initialized, or has been shut down');
  }
}

function headOf(entry: Entry | undefined): Buffer | undefined {
  return entry && Buffer.from(taggedHead(entry.bytes) ?? entry.bytes.subarray(0, HEAD_PREFIX_BYTES));
}

function timeLeft({ expiresAt }: Entry): number | null {
  return expiresAt === Infinity ? null : expiresAt - Date.now();
}

function moment(expiry: Expiry): number {
  if (expiry === 'never') return Infinity;
  return 'in' in expiry ? Date.now() + expiry.in : expiry.at;
}
