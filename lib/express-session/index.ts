// oxlint-disable typescript/no-misused-promises -- the types of express-session give nothing; connect-redis gives promises, as this does
import { callbackify } from 'node:util';
import { Store } from 'express-session';
import type { Session, SessionData } from 'express-session';
import { CacheArgumentError } from '../redis-cache.errors.js';
import { RedisCacheStore } from '../store/redis-cache.store.js';
import { readConnectRedis } from './connect-redis.js';

/** `connect-redis`: its records under the same keys are read, too, and rewritten when they are saved. */
export interface RedisCacheSessionStoreOptions {
  legacy?: 'connect-redis';
}

type Callback<T = void> = (error?: unknown, result?: T) => void;
type Request = Parameters<Store['createSession']>[0];

/** `@fastify/session` copies enumerable properties of what it loads, inherited ones included; JSON and hashes leave out functions. */
const LOADED = { '~loaded': () => true };

/**
 * A store for express-session and `@fastify/session` (which needs express-session installed beside it). Methods take a callback, or
 * give a promise without one.
 *
 * - A session that was loaded is saved only if it is still there, so that a late save never revives a session that was destroyed.
 * - It lives as long as its cookie; a cookie without an end, as long as the `ttl` of the store.
 * - `touch` changes the cookie inside the record in one step. `regenerate` moves the record to the new id: of many callers one wins.
 *
 * @example
 * ```ts
 * app.use(session({ store: new RedisCacheSessionStore(app.get(RedisCacheStore)), secret, resave: false, saveUninitialized: false }));
 * ```
 */
export class RedisCacheSessionStore extends Store {
  /** Set by express-session: gives a request a new session with a new id. */
  declare generate: (request: Request) => void;
  readonly #store: RedisCacheStore<SessionData>;
  readonly #ttl: number | null;
  /** Sessions that have a record. */
  readonly #known = new WeakSet<object>();

  constructor(store: RedisCacheStore, options: RedisCacheSessionStoreOptions = {}) {
    super();
    const { legacy, ...others } = options;
    const unknown = Object.keys(others)[0] ?? (legacy !== undefined && legacy !== 'connect-redis' && 'legacy');
    if (unknown) throw new CacheArgumentError(`${unknown}: the only option is legacy: 'connect-redis'`);
    const operations = RedisCacheStore.operationsOf(store);
    const reading = legacy ? new RedisCacheStore(operations.reading(readConnectRedis)) : store;
    this.#store = reading as RedisCacheStore<SessionData>;
    this.#ttl = operations.settings.ttl;
  }

  override createSession(request: Request, data: SessionData): Session & SessionData {
    const session = super.createSession(request, { ...data });
    this.#known.add(session);
    return session;
  }

  override get(id: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return settle(callback, async () => {
      const found = await this.#store.get(id);
      return found ? Object.assign(Object.create(LOADED) as SessionData, found) : null;
    });
  }

  override set(id: string, session: SessionData, callback?: Callback): Promise<void> {
    return settle(callback, async () => {
      const value = plain(session);
      const ttl = this.#ttlOf(value);
      if (isOver(ttl)) return void (await this.#store.delete(id));
      if (this.#known.has(session) || '~loaded' in session) return void (await this.#store.replace(id, value, { ttl }));
      await this.#store.put(id, value, { ttl });
      this.#known.add(session);
    });
  }

  override touch(id: string, session: SessionData, callback?: Callback): Promise<void> {
    return settle(callback, async () => {
      const { cookie } = plain(session);
      const ttl = this.#ttlOf({ cookie });
      if (isOver(ttl)) return void (await this.#store.delete(id));
      await this.#store.update(id, (stored) => ({ ...stored, cookie }), { ttl });
    });
  }

  override destroy(id: string, callback?: Callback): Promise<void> {
    return settle(callback, async () => void (await this.#store.delete(id)));
  }

  override regenerate(request: Request, callback?: Callback): Promise<void> {
    return settle(callback, async () => {
      const from = request.sessionID;
      this.generate(request);
      const value = plain(request.session);
      const ttl = this.#ttlOf(value);
      if (isOver(ttl)) return void (await this.#store.delete(from));
      // The new session has nothing of the old one, its tags included.
      const moved = await this.#store.move(from, request.sessionID, { change: () => value, ttl, tags: [] });
      if (moved) this.#known.add(request.session);
    });
  }

  ids(callback?: Callback<string[]>): Promise<string[]> {
    return settle(callback, () => this.#store.keys());
  }

  override length(callback?: Callback<number>): Promise<number> {
    return settle(callback, () => this.#store.count());
  }

  /** All sessions, each with its `id`. */
  override all(callback?: Callback<(SessionData & { id: string })[]>): Promise<(SessionData & { id: string })[]> {
    return settle(callback, async () => {
      const sessions = [];
      for await (const [id, session] of this.#store.entries()) sessions.push({ ...session, id });
      return sessions;
    });
  }

  override clear(callback?: Callback): Promise<void> {
    return settle(callback, async () => void (await this.#store.clear()));
  }

  #ttlOf({ cookie }: Pick<SessionData, 'cookie'>): number | null {
    return cookie.expires ? new Date(cookie.expires).getTime() - Date.now() : this.#ttl;
  }
}

function isOver(ttl: number | null): boolean {
  return ttl !== null && ttl <= 0;
}

/** What of a session is stored: as in JSON, neither functions nor properties that are undefined. */
function plain(session: SessionData): SessionData {
  const { cookie } = session;
  const fields = 'toJSON' in cookie && typeof cookie.toJSON === 'function' ? (cookie.toJSON() as object) : cookie;
  return { ...said(session), cookie: said(fields) } as SessionData;
}

function said(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && typeof value !== 'function'),
  );
}

/** With a callback, it hears of the end; whoever gave none has the promise. */
function settle<T>(callback: Callback<T> | undefined, work: () => Promise<T>): Promise<T> {
  const result = work();
  if (callback) callbackify(() => result)(callback);
  return result;
}
