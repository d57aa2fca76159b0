import { CacheUnavailableError } from '../redis-cache.errors.js';
import { NEVER } from './cache-backend.js';
import type { CacheBackend, Change, Expiry, IndexMember } from './cache-backend.js';
import type { Count, Hit, HitResult } from './counters.js';
import { MemoryCounters } from './memory-counters.js';

interface Entry {
  readonly bytes: Buffer;
  /** In ms since the epoch; Infinity: never. */
  readonly expiresAt: number;
}

/** Every so many writes, what has expired is removed, so that records nobody asks for again do not pile up. */
const SWEEP_EVERY = 1000;
const BATCH = 1000;

/**
 * The port over a Map in this process: for a first run and for tests of applications. Bytes are copied on the way in and
 * out, so that a record behaves as one in Redis does. It has no timer; time is `Date.now()`, so fake timers work.
 */
export class MemoryBackend implements CacheBackend {
  private readonly entries = new Map<string, Entry>();
  private readonly indexes = new Map<string, Map<string, number>>();
  private readonly counters = new MemoryCounters();
  private writes = 0;

  /** `isOpen` tells whether the application is between its start and its shutdown. */
  constructor(private readonly isOpen: () => boolean) {}

  async get(key: string): Promise<Buffer | undefined> {
    const entry = this.find(key);
    return entry && Buffer.from(entry.bytes);
  }

  async getWithTtl(key: string): Promise<{ bytes: Buffer; ttl: number | null } | undefined> {
    const entry = this.find(key);
    return entry && { bytes: Buffer.from(entry.bytes), ttl: timeLeft(entry) };
  }

  async set(key: string, bytes: Buffer, expiry: Expiry): Promise<void> {
    this.write(key, bytes, expiry);
  }

  async setIfAbsent(key: string, bytes: Buffer, expiry: Expiry): Promise<boolean> {
    if (this.find(key)) return false;
    this.write(key, bytes, expiry);
    return true;
  }

  async compareAndSet(key: string, expected: Buffer, change: Change): Promise<boolean> {
    const entry = this.find(key);
    if (!entry?.bytes.equals(expected)) return false;
    if (change === 'delete') return this.entries.delete(key);
    if ('expire' in change) {
      if ((timeLeft(entry) ?? Infinity) > (change.ifLeft ?? Infinity)) return false;
      this.write(key, entry.bytes, change.expire);
    } else if (change.expiry === 'never' || !('keepUpTo' in change.expiry)) this.write(key, change.set, change.expiry);
    else if (entry.expiresAt > change.expiry.keepUpTo) return false;
    else this.write(key, change.set, { at: entry.expiresAt });
    return true;
  }

  async take(key: string): Promise<Buffer | undefined> {
    const entry = this.find(key);
    this.entries.delete(key);
    return entry?.bytes;
  }

  async has(key: string): Promise<boolean> {
    return this.find(key) !== undefined;
  }

  async ttl(key: string): Promise<number | null | undefined> {
    const entry = this.find(key);
    return entry && timeLeft(entry);
  }

  async delete(keys: readonly string[]): Promise<number> {
    const isGone = (key: string) => (this.find(key) ? this.entries.delete(key) : this.counters.delete(key));
    return keys.filter(isGone).length;
  }

  async *scan(...prefixes: readonly string[]): AsyncIterable<readonly string[]> {
    this.sweep();
    const all = [...this.entries.keys(), ...this.counters.keys()];
    const keys = all.filter((key) => prefixes.some((prefix) => key.startsWith(prefix)));
    for (let i = 0; i < keys.length; i += BATCH) {
      yield keys.slice(i, i + BATCH).filter((key) => this.find(key) ?? this.counters.has(key));
    }
  }

  async addToIndex(index: string, member: string, ttl: number | null): Promise<number> {
    this.assertOpen();
    const members = this.trim(index);
    const score = Date.now() + (ttl ?? NEVER);
    const isEternal = (members.get(member) ?? 0) >= NEVER;
    members.set(member, Math.max(isEternal ? Date.now() + NEVER : score, members.get(member) ?? 0));
    this.indexes.set(index, members);
    return score;
  }

  async *indexMembers(index: string): AsyncIterable<readonly IndexMember[]> {
    this.assertOpen();
    const members = Array.from(this.trim(index), ([member, score]) => ({ member, score }));
    if (members.length > 0) yield members;
  }

  async removeFromIndex(index: string, gone: readonly IndexMember[]): Promise<void> {
    const members = this.trim(index);
    for (const { member, score } of gone) if (members.get(member) === score) members.delete(member);
    if (members.size === 0) this.indexes.delete(index);
  }

  async hit(key: string, hit: Hit): Promise<HitResult> {
    this.countWrite();
    return this.counters.hit(key, hit);
  }

  async counter(key: string): Promise<Count | undefined> {
    this.assertOpen();
    return this.counters.read(key);
  }

  /** Everything is local already. */
  watch(): undefined {}

  /** The members whose moment has not passed; an index without any is forgotten. */
  private trim(index: string): Map<string, number> {
    const members = this.indexes.get(index) ?? new Map<string, number>();
    for (const [member, score] of members) if (score <= Date.now()) members.delete(member);
    if (members.size === 0) this.indexes.delete(index);
    return members;
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
  }

  private countWrite(): void {
    this.assertOpen();
    if (++this.writes % SWEEP_EVERY === 0) this.sweep();
  }

  private sweep(): void {
    this.assertOpen();
    this.counters.sweep();
    for (const [key, { expiresAt }] of this.entries) if (expiresAt <= Date.now()) this.entries.delete(key);
    for (const index of this.indexes.keys()) this.trim(index);
  }

  private assertOpen(): void {
    if (this.isOpen()) return;
    throw new CacheUnavailableError('closed', 'not-sent', 'the application is not initialized, or has been shut down');
  }
}

function timeLeft({ expiresAt }: Entry): number | null {
  return expiresAt === Infinity ? null : expiresAt - Date.now();
}

function moment(expiry: Expiry): number {
  if (expiry === 'never') return Infinity;
  return 'in' in expiry ? Date.now() + expiry.in : expiry.at;
}
