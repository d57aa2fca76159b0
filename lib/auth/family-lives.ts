import { now } from '../redis-cache.timers.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { decide } from './decide.js';
import type { Lifetime } from './lifetime.js';
import type { FamilyRecord } from './refresh-family.js';
import { equalInConstantTime } from './secrets.js';

/** What lives for ever lives 100 years, so that what is left of a life tells the time. In ms. */
const FOREVER = 100 * 365 * 24 * 60 * 60 * 1000;

/**
 * How long families of refresh tokens live in Redis, and how long ago they were rotated.
 *
 * The clock is that of Redis: a family says how much life Redis gave it at its rotation, so the time since is what of that it has no
 * more. Redis gives a family twice `idle`, so that a rotation need not extend it. Whoever extends a family writes both, its life and
 * what it says of it, in one step.
 */
export class FamilyLives {
  readonly #store: RedisCacheStore;
  readonly #lifetime: Lifetime;
  readonly #extensions = new Set<Promise<unknown>>();

  constructor(store: RedisCacheStore, lifetime: Lifetime) {
    this.#store = store;
    this.#lifetime = lifetime;
  }

  /** The life that Redis gives a family from now on. In ms. */
  full(createdAt: number): number {
    const idle = this.#lifetime.idle ?? Infinity;
    return Math.max(1, Math.min(2 * idle, this.#lifetime.absoluteLeft(createdAt), FOREVER));
  }

  /** Begins to ask for the life of a family, so that it is told together with its record. */
  read(key: string): FamilyLife {
    return new FamilyLife(() => this.#store.ttl(key), this.#lifetime);
  }

  isOver({ createdAt }: FamilyRecord, sinceRotation: number): boolean {
    return sinceRotation >= (this.#lifetime.idle ?? FOREVER) || this.#lifetime.absoluteLeft(createdAt) <= 0;
  }

  /** Whether a family was rotated within the last `window` ms; not if it is to be much later: then it was changed since it was read. */
  isRecent(sinceRotation: number, window: number): boolean {
    return Math.max(0, sinceRotation) < window && sinceRotation > -(this.#lifetime.idle ?? FOREVER) / 4;
  }

  /**
   * Extends a family that was just rotated, once in half an `idle`. That is not waited for, unless the family would otherwise end
   * within `idle`: the extensions before have failed.
   */
  async keepAlive(key: string, family: FamilyRecord): Promise<void> {
    const { idle } = this.#lifetime;
    if (idle === null) return;
    const absoluteLeft = this.#lifetime.absoluteLeft(family.createdAt);
    // A hundredth, lest a family be extended at every rotation because two clocks differ.
    if (family.left >= Math.min(1.5 * idle, absoluteLeft - idle / 100)) return;
    const extension = this.#extend(key, family)
      .catch(() => undefined) // the family was rotated all the same
      .finally(() => this.#extensions.delete(extension));
    this.#extensions.add(extension);
    if (family.left < idle) await extension;
  }

  /** Resolves when all extensions have ended that are under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#extensions);
  }

  async #extend(key: string, { createdAt, current }: FamilyRecord): Promise<unknown> {
    const begun = now();
    const ttl = this.full(createdAt);
    const extend = (family: FamilyRecord) => {
      // Whoever has rotated it since then sees to it.
      if (!equalInConstantTime(family.current, current) || family.isEnded) return { answer: false };
      return { answer: true, write: { ...family, left: ttl + (now() - begun) } };
    };
    return decide(this.#store, key, extend, { ttl });
  }
}

/** The life of a family as one call has found it. */
export class FamilyLife {
  readonly #begun = now();
  readonly #ask: () => Promise<number | null | undefined>;
  readonly #lifetime: Lifetime;
  #reading: Promise<Since | undefined>;
  /** Whose life was read; it may have been extended since. */
  #known: FamilyRecord | undefined;

  constructor(ask: () => Promise<number | null | undefined>, lifetime: Lifetime) {
    this.#ask = ask;
    this.#lifetime = lifetime;
    this.#reading = this.#read();
    this.#reading.catch(() => undefined); // awaited below, if there is a record
  }

  /** The ms since a family was rotated, as they pass; `undefined`: there is none, or nobody can tell (PERSIST). */
  async sinceRotation(family: FamilyRecord): Promise<(() => number) | undefined> {
    if (!this.#known && (await this.#isDoubtful(family))) this.#reading = this.#read();
    const since = await this.#reading;
    this.#known ??= family;
    const { left, sequence } = this.#known;
    // Rotated since it was read, thus since this call began.
    if (sequence !== family.sequence) return () => now() - this.#begun;
    return since && (() => since(left));
  }

  /**
   * Whether the family may have been extended after its life was told and before its record was: by an estimate of Redis' clock, which
   * decides about nothing else.
   */
  async #isDoubtful({ left, rotatedAt }: FamilyRecord): Promise<boolean> {
    const since = await this.#reading;
    const estimate = this.#lifetime.now() - rotatedAt;
    return since !== undefined && Math.abs(since(left) - estimate) > (this.#lifetime.idle ?? Infinity) / 4;
  }

  async #read(): Promise<Since | undefined> {
    const ttl = await this.#ask();
    const read = now();
    // Without a ttl (PERSIST) nobody can tell how long it was not used.
    return typeof ttl === 'number' ? (left) => left - ttl + (now() - read) : undefined;
  }
}

/** The ms since a record had so much life left. */
type Since = (left: number) => number;
