import type { NodeLink } from './node-link.js';
import { nameOf } from './address.js';
import { TrackedLink } from './tracked-link.js';
import type { Coverage } from './tracked-link.js';

/** Somebody who keeps local copies of records. */
export interface LocalCopies {
  /** The record under a Redis key has changed, or may have: there must be no copy of it, nor of a read that is on its way. */
  forget(key: string): void;
  /** The same of all records that were read under this coverage; without one, of all. */
  forgetAll(coverage?: Coverage): void;
}

/** Of all feeds together: none has a problem, or one of them has. */
type FeedEvent = 'feed-up' | 'feed-down';

/**
 * Tells those who keep local copies of what changes, whoever changes it: Redis tells of what others do, by one feed beside each
 * link that is read over, and this process knows what it does itself. Opened only if somebody keeps copies.
 */
export class InvalidationFeed {
  readonly #warn: (message: string) => void;
  readonly #tell: (event: FeedEvent, reason?: string) => void;
  /** Who keeps copies, by namespace. */
  readonly #copies = new Map<string, Set<LocalCopies>>();
  readonly #followed = new Map<NodeLink, TrackedLink>();
  #links: readonly NodeLink[] = [];
  #version = 0;
  #lease = Infinity;
  /** Why there are no copies of what is on a server, by its name. */
  readonly #problems = new Map<string, string>();
  #told: FeedEvent | undefined;

  constructor(warn: (message: string) => void, tell: (event: FeedEvent, reason?: string) => void = () => {}) {
    this.#warn = warn;
    this.#tell = tell;
  }

  /** @param prefix - what the keys of the records begin with */
  watch(prefix: string, lease: number, copies: LocalCopies): void {
    const namespace = namespaceOf(prefix);
    this.#copies.set(namespace, (this.#copies.get(namespace) ?? new Set()).add(copies));
    if (lease < this.#lease) {
      this.#lease = lease;
      for (const tracked of this.#followed.values()) tracked.reopen(new Error('a store with a shorter lease listens'));
    }
    this.follow(this.#links, this.#version);
  }

  /** Listens beside the links that are read over now, each until its end. With another version, keys may have moved between them. */
  follow(links: readonly NodeLink[], version: number): void {
    if (version !== this.#version) for (const tracked of this.#followed.values()) tracked.renew();
    this.#links = links;
    this.#version = version;
    if (this.#copies.size === 0) return;
    // A server that has been replaced never tells that its problem is over. (While Redis is down there are no links.)
    if (links.length > 0)
      for (const server of this.#problems.keys()) if (!this.#reads(server)) this.#problems.delete(server);
    for (const link of links) if (!this.#followed.has(link)) this.#begin(link);
  }

  /** See `TrackedLink.track`. */
  track(link: NodeLink, key: string, deadline: number): Coverage | undefined {
    return this.#followed.get(link)?.track(key, deadline);
  }

  /**
   * Carries out a write of this process. Its keys count as changed before it is sent, and again when it is answered: a
   * read that began in between may have been carried out before it.
   */
  around<T>(keys: readonly string[], write: () => Promise<T>): Promise<T> {
    if (this.#copies.size === 0) return write();
    const forget = () => keys.forEach(this.forget);
    forget();
    return write().finally(forget);
  }

  /** The record under a key has changed, or may have. */
  readonly forget = (key: string): void => {
    const there = this.#copies.get(namespaceOf(key));
    if (there) for (const copies of there) copies.forget(key);
  };

  /** Any record of a namespace may have changed, given the beginning of its keys. */
  forgetAll(prefix: string): void {
    for (const copies of this.#copies.get(namespaceOf(prefix)) ?? []) copies.forgetAll();
  }

  /** There are no copies any more. */
  close(): void {
    this.#eachCopies((copies) => copies.forgetAll());
    this.#copies.clear();
  }

  #begin(link: NodeLink): void {
    const tracked = new TrackedLink(link, {
      lease: () => this.#lease,
      onInvalid: this.forget,
      onLost: (coverage) => this.#eachCopies((copies) => copies.forgetAll(coverage)),
      onProblem: (problem) => this.#report(nameOf(link.place), problem),
    });
    this.#followed.set(link, tracked);
    void link.ended.then(() => this.#followed.delete(link));
  }

  #eachCopies(action: (copies: LocalCopies) => void): void {
    for (const some of this.#copies.values()) for (const copies of some) action(copies);
  }

  #reads(server: string): boolean {
    return this.#links.some(({ place }) => nameOf(place) === server);
  }

  #report(server: string, problem: string | undefined): void {
    if (!this.#reads(server)) return;
    if (problem === undefined) {
      this.#problems.delete(server);
      if (this.#problems.size === 0) this.#become('feed-up');
      return;
    }
    const isKnown = [...this.#problems.values()].includes(problem);
    this.#problems.set(server, problem);
    this.#become('feed-down', problem);
    if (!isKnown) this.#warn(`the near cache is bypassed: ${problem}`);
  }

  #become(event: FeedEvent, reason?: string): void {
    if (event === this.#told) return;
    this.#told = event;
    this.#tell(event, reason);
  }
}

/** What comes before the first colon of a key, with it. */
export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf(':') + 1);
}
