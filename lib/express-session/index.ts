// oxlint-disable typescript/no-misused-promises -- the types of express-session give nothing; connect-redis gives promises, as this does
import { callbackify } from 'node:util';
import type { Session, SessionData } from 'express-session';
import { RedisCacheStore } from '../store/redis-cache.store.js';
import { sessionsOf } from './connect-redis.js';
import type { RedisCacheSessionStoreOptions } from './connect-redis.js';
import { isInstalled, Store } from './peer.cjs';
import { dataOf, isMarked, mark, marked } from './session-data.js';

export type { RedisCacheSessionStoreOptions } from './connect-redis.js';

type Callback<T = void> = (error?: unknown, result?: T) => void;
type Request = Parameters<Store['createSession']>[0];

if (!isInstalled) {
  throw new Error('nestjs-redis-cache-store/express-session needs express-session; run: npm install express-session');
}

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

  /** @throws CacheArgumentError for an option that it does not know */
  constructor(store: RedisCacheStore, options: RedisCacheSessionStoreOptions = {}) {
    super();
    this.#store = sessionsOf(store, options);
    this.#ttl = RedisCacheStore.operationsOf(store).settings.ttl;
  }

  override createSession(request: Request, data: SessionData): Session & SessionData {
    return mark(super.createSession(request, { ...data }));
  }

  override get(id: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return settle(callback, async () => {
      const data = await this.#store.get(id);
      return data ? marked(data) : null;
    });
  }

  override set(id: string, session: SessionData, callback?: Callback): Promise<void> {
    return settle(callback, async () => {
      const data = dataOf(session);
      const write = isMarked(session) ? 'replace' : 'put';
      await this.#within(data, id, (ttl) => this.#store[write](id, data, { ttl }));
      mark(session);
    });
  }

  override touch(id: string, session: SessionData, callback?: Callback): Promise<void> {
    return settle(callback, async () => {
      const { cookie } = dataOf(session);
      await this.#within({ cookie }, id, (ttl) => this.#store.update(id, (data) => ({ ...data, cookie }), { ttl }));
    });
  }

  override destroy(id: string, callback?: Callback): Promise<void> {
    return settle(callback, async () => void (await this.#store.delete(id)));
  }

  override regenerate(request: Request, callback?: Callback): Promise<void> {
    return settle(callback, async () => {
      const from = request.sessionID;
      this.generate(request);
      const { sessionID: to, session } = request;
      const data = dataOf(session);
      await this.#within(data, from, async (ttl) => {
        // The new session has nothing of the old one, its tags included.
        if (await this.#store.move(from, to, { change: () => data, ttl, tags: [] })) mark(session);
      });
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
      for await (const [id, data] of this.#store.entries()) sessions.push({ ...data, id });
      return sessions;
    });
  }

  override clear(callback?: Callback): Promise<void> {
    return settle(callback, async () => void (await this.#store.clear()));
  }

  /** Writes a record that lives as long as its cookie; once that is over, deletes it. */
  async #within({ cookie }: Pick<SessionData, 'cookie'>, id: string, write: (ttl: number | null) => Promise<unknown>) {
    const ttl = cookie.expires ? new Date(cookie.expires).getTime() - Date.now() : this.#ttl;
    await (ttl !== null && ttl <= 0 ? this.#store.delete(id) : write(ttl));
  }
}

/** With a callback, it hears of the end; whoever gave none has the promise. */
function settle<T>(callback: Callback<T> | undefined, work: () => Promise<T>): Promise<T> {
  const result = work();
  if (callback) callbackify(() => result)(callback);
  return result;
}
