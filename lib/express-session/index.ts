// oxlint-disable typescript/no-misused-promises -- the types of express-session give nothing; connect-redis gives promises, as this does
import type { Session, SessionData } from 'express-session';
import { assertInstalled } from '../missing-peer.js';
import { RedisCacheStore } from '../store/redis-cache.store.js';
import { takesCallbacks } from './callbacks.js';
import type { Callback } from './callbacks.js';
import { sessionsOf } from './connect-redis.js';
import type { RedisCacheSessionStoreOptions } from './connect-redis.js';
import { isInstalled, Store } from './peer.cjs';
import { dataOf, isMarked, mark, marked, ttlOf } from './session-data.js';

export type { RedisCacheSessionStoreOptions } from './connect-redis.js';

type Request = Parameters<Store['createSession']>[0];
type Listed = SessionData & { id: string };

assertInstalled(isInstalled, 'express-session', 'express-session');

/**
 * A store for express-session and `@fastify/session` (which needs express-session installed beside it). Methods give a promise, and
 * tell a callback as well.
 *
 * - A session that was loaded is saved only if it is still there, so that a late save never revives a session that was destroyed.
 * - It lives as long as its cookie, for 100 years at most; a cookie without an end, as long as the `ttl` of the store.
 * - `touch` changes the cookie inside the record in one step. `regenerate` moves the record to the new id, where
 *   the new session has nothing of the old one.
 *
 * @example
 * ```ts
 * app.use(session({ store: new RedisCacheSessionStore(app.get(RedisCacheStore)), secret, resave: false, saveUninitialized: false }));
 * ```
 */
@takesCallbacks
export class RedisCacheSessionStore extends Store {
  /** Set by express-session: gives a request a new session with a new id. */
  declare generate: (request: Request) => void;
  readonly #store: RedisCacheStore<SessionData>;
  /** Of a session whose cookie has no end. */
  readonly #ttl: number | null;

  /** @throws CacheArgumentError for an option that it does not know */
  constructor(store: RedisCacheStore, options: RedisCacheSessionStoreOptions = {}) {
    super();
    this.#store = sessionsOf(store, options);
    this.#ttl = RedisCacheStore.operationsOf(store).settings.ttl;
  }

  override createSession(request: Request, data: SessionData): Session & SessionData {
    return mark(super.createSession(request, { ...data }));
  }

  override async get(id: string, _callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    const data = await this.#store.get(id);
    return data ? marked(data) : null;
  }

  override async set(id: string, session: SessionData, _callback?: Callback): Promise<void> {
    const data = dataOf(session);
    await this.#store[isMarked(session) ? 'replace' : 'put'](id, data, { ttl: ttlOf(data.cookie, this.#ttl) });
    mark(session);
  }

  override async touch(id: string, session: SessionData, _callback?: Callback): Promise<void> {
    const { cookie } = dataOf(session);
    await this.#store.update(id, (data) => ({ ...data, cookie }), { ttl: ttlOf(cookie, this.#ttl) });
  }

  override async destroy(id: string, _callback?: Callback): Promise<void> {
    await this.#store.delete(id);
  }

  override async regenerate(request: Request, _callback?: Callback): Promise<void> {
    const from = request.sessionID;
    this.generate(request);
    const { sessionID: to, session } = request;
    const data = dataOf(session);
    // The new session has nothing of the old one, its tags included.
    const options = { change: () => data, ttl: ttlOf(data.cookie, this.#ttl), tags: [] };
    if (await this.#store.move(from, to, options)) mark(session);
  }

  async ids(_callback?: Callback<string[]>): Promise<string[]> {
    return this.#store.keys();
  }

  override async length(_callback?: Callback<number>): Promise<number> {
    return this.#store.count();
  }

  /** All sessions, each with its `id`. */
  override async all(_callback?: Callback<Listed[]>): Promise<Listed[]> {
    const sessions = [];
    for await (const [id, data] of this.#store.entries()) sessions.push({ ...data, id });
    return sessions;
  }

  override async clear(_callback?: Callback): Promise<void> {
    await this.#store.clear();
  }
}
