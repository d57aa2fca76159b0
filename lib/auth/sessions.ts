import type { OnApplicationShutdown } from '@nestjs/common';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { Subject } from 'rxjs';
import type { Observable } from 'rxjs';
import type { Duration } from '../redis-cache.duration.js';
import { CacheArgumentError, CacheCorruptError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertText } from './arguments.js';
import type { DataSchema } from './data-schema.js';
import type { Lifetime } from './lifetime.js';
import { isToken, randomToken, sha256 } from './secrets.js';
import { SessionSockets } from './session-sockets.js';
import type { SocketClient } from './session-sockets.js';
import { isSessionRecord, StoredSession } from './session.js';
import type { About, CreatedSession, Session, SessionEvent, SessionRecord } from './session.js';
import type { TokenSource } from './token-source.js';

/** The options of `Sessions` after validation. */
export interface SessionsSettings {
  readonly lifetime: Lifetime;
  readonly limit: { readonly sessions: number; readonly when: 'evict-oldest' | 'refuse' } | undefined;
  readonly schema: DataSchema;
  readonly from: TokenSource;
  /** In ms. */
  readonly recheck: number;
}

/** The type of `Sessions` with a schema. @example `constructor(@InjectSessions() private readonly sessions: SessionsOf<typeof schema>) {}` */
export type SessionsOf<Schema extends StandardSchemaV1> = Sessions<
  StandardSchemaV1.InferOutput<Schema>,
  StandardSchemaV1.InferInput<Schema>
>;

/**
 * Sessions that a guard can trust.
 *
 * - A token has 256 random bits. Redis knows its SHA-256 alone.
 * - A session ends by itself, by `idle` and by `absolute`, whatever happened to its key in Redis.
 * - A token from before a login never reads what came after it (session fixation, ASVS 5.0 7.2.4).
 * - `revokeAll` that resolves has ended every session whose `create` had resolved before, those that are being regenerated
 *   included, on a server that evicts nothing; elsewhere with `thorough`.
 *
 * Somebody with a dump of Redis learns subjects, data and devices (not with `encryption`), and cannot use any session.
 * Somebody who may write to Redis can make sessions up; with `encryption` he can only delete them, or put an old state of one back in its place.
 * Somebody with one token is that session until it ends, is revoked or regenerated; it opens no other one.
 *
 * Every method rejects with CacheUnavailableError in an outage. After an `unknown` of `create` or `regenerate` the user signs in again;
 * everything else can be repeated.
 */
export class Sessions<Data = unknown, Input = Data> implements OnApplicationShutdown {
  /** What happens through this process. Completes when the application closes. */
  readonly events$: Observable<SessionEvent>;
  readonly #events = new Subject<SessionEvent>();
  readonly #store: RedisCacheStore;
  readonly #settings: SessionsSettings;
  /** Sessions that a call of this process is just keeping alive. */
  readonly #sliding = new Set<string>();
  /** Those that were bound to a session, and how requests bring their tokens. @internal */
  readonly sockets: SessionSockets<Data>;

  /** @internal */
  constructor(store: RedisCacheStore, settings: SessionsSettings) {
    this.#store = store;
    this.#settings = settings;
    this.events$ = this.#events.asObservable();
    this.sockets = new SessionSockets(this, settings.from, settings.recheck);
  }

  /**
   * A new session. `subject`: whose it is (`null` before a login); `about`: what a list of devices shows.
   *
   * @throws TooManySessionsError if the subject has as many as `limit` allows, and `when` is `'refuse'`
   * @example `const { token } = await sessions.create(user.id, { theme: 'dark' }, { device: 'Firefox on Linux' })`
   */
  async create(subject: string | null, data: Input, about?: About): Promise<CreatedSession<Data>> {
    if (subject !== null) assertText('subject', subject);
    await this.#settings.schema.check(data);
    const token = randomToken();
    const now = this.#now();
    const record: SessionRecord = {
      subject,
      data,
      createdAt: now,
      lastSeenAt: now,
      authenticatedAt: subject === null ? null : now,
      ...(about && { about }),
    };
    const id = sha256(token);
    await this.#store.put(id, record, this.#life(record));
    this.#emit({ type: 'created', id, subject });
    return { token, session: await this.#session(id, record) };
  }

  /**
   * The session of a token, which is kept alive by that. One `get` of the store; every tenth of `idle` also an `update`.
   *
   * @returns `undefined`: there is no such session; a malformed token is not even looked for
   * @example `const session = await sessions.get(token)`
   */
  async get(token: string): Promise<Session<Data> | undefined> {
    const found = await this.#find(token);
    if (!found) return undefined;
    return this.#session(found.id, await this.#used(found.id, found.record));
  }

  /**
   * Changes the data of a session, by compare-and-set: no other call's change is lost, and `change` runs again if somebody was faster.
   *
   * @example `await sessions.update(token, (data) => ({ ...data, theme: 'light' }))`
   */
  async update(token: string, change: (data: Data) => Input | Promise<Input>): Promise<Session<Data> | undefined> {
    const { schema } = this.#settings;
    return this.#change(token, async (record) => {
      const data = await change(await schema.read<Data>(record.data));
      await schema.check(data);
      return { ...record, data };
    });
  }

  /**
   * Gives a session a new token: at every login (with `subject`) and at every change of rights. The old token is worth nothing
   * from then on; with `overlap` it leads to the new session for so long, for requests that are on their way with it.
   * A `subject` sets `authenticatedAt` and starts `absolute` anew. Of concurrent calls with one token one wins.
   *
   * @returns `undefined`: there is no such session, or another call was faster
   * @throws CacheArgumentError for `overlap` together with `subject` or `data`: the old token would read what came after the login
   * @throws TooManySessionsError as `create`; the session then stays as it was
   * @example `const { token } = await sessions.regenerate(anonymous, { subject: user.id })`
   */
  async regenerate(
    _token: string,
    _options: { subject?: string; data?: Input; overlap?: Duration } = {},
  ): Promise<CreatedSession<Data> | undefined> {
    throw new CacheArgumentError('regenerate: comes with the next commits');
  }

  /** Notes that the subject has just proved who they are. @example `await sessions.reauthenticate(token); // session.isFresh('5m')` */
  async reauthenticate(token: string): Promise<Session<Data> | undefined> {
    return this.#change(token, (record) => ({ ...record, authenticatedAt: this.#now() }));
  }

  /** The sessions of a subject, newest first. @example `const devices = await sessions.list(user.id)` */
  async list(subject: string): Promise<Session<Data>[]> {
    const live = await this.#liveOf(subject);
    return Promise.all(live.map(([id, record]) => this.#session(id, record)));
  }

  /** Ends one session of a subject: "sign out this device". `false`: there is none, or it is another subject's. @example `await sessions.revoke(user.id, device.id)` */
  async revoke(_subject: string, _id: string): Promise<boolean> {
    throw new CacheArgumentError('revoke: comes with the next commits');
  }

  /** Ends the session of a token: the logout. @example `await sessions.revokeToken(token)` */
  async revokeToken(token: string): Promise<boolean> {
    const found = await this.#find(token);
    return found !== undefined && this.#end(found.id, found.record);
  }

  /** Ends all sessions of the subject of a token but that one; how many. @example `await sessions.revokeOthers(token)` */
  async revokeOthers(_token: string): Promise<number> {
    throw new CacheArgumentError('revokeOthers: comes with the next commits');
  }

  /**
   * Ends all sessions of a subject; how many. `thorough` also finds those whose index was evicted, and costs a walk over all sessions.
   *
   * @example `await sessions.revokeAll(user.id); // after a change of password`
   */
  async revokeAll(subject: string, _options: { thorough?: boolean } = {}): Promise<number> {
    const known = await this.#liveOf(subject);
    const count = await this.#store.deleteByTag(subject);
    for (const [id] of known) this.#emit({ type: 'revoked', id, subject });
    return count;
  }

  /**
   * Binds a socket to its session: call it in `handleConnection` of a gateway. The handshake is authenticated as a request is (a
   * cookie needs an `Origin` of ours), and messages of the socket then pass `SessionGuard` by the same session. The socket is closed when its
   * session is revoked or evicted, regenerated, or over: at once if that happens in this process, else within `recheck` (default
   * 30 s); in an outage, when the session could not be read for twice as long. The socket keeps no session alive; its messages do.
   *
   * @param client - of Socket.IO, or of `ws`
   * @param handshake - what `handleConnection` of a `ws` gateway is given second: the request
   * @returns `undefined`: there is no session, or it cannot be known; the socket has been closed. Never rejects.
   * @example `async handleConnection(client: WebSocket, request: IncomingMessage) { await this.sessions.bind(client, request); }`
   */
  bind(client: SocketClient, handshake?: unknown): Promise<Session<Data> | undefined> {
    return this.sockets.bind(client, handshake);
  }

  /** How long a session goes on if it is not used, in ms; `null`: for ever; `undefined`: it has ended. Keeps nothing alive. @internal */
  async left(id: string): Promise<number | null | undefined> {
    const record = await this.#read(id);
    if (!record || record.movedTo !== undefined) return undefined;
    const end = this.#settings.lifetime.endOf(record.createdAt, record.lastSeenAt);
    return end && end - this.#now();
  }

  /** @internal */
  onApplicationShutdown(): void {
    this.sockets.stop();
    this.#events.complete();
  }

  async #find(token: string): Promise<{ id: string; record: SessionRecord } | undefined> {
    if (!isToken(token)) return undefined;
    let id = sha256(token);
    let record = await this.#read(id);
    for (; record?.movedTo !== undefined; record = await this.#read(id)) id = record.movedTo;
    return record && { id, record };
  }

  /** A record that has not ended. @throws CacheCorruptError */
  async #read(id: string): Promise<SessionRecord | undefined> {
    const record = await this.#store.get(id);
    if (record === undefined) return undefined;
    if (!isSessionRecord(record)) throw new CacheCorruptError('the record is no session');
    return this.#isOver(record) ? undefined : record;
  }

  /** Tells Redis of the use of a session if a tenth of `idle` has passed; if that fails, the session is as good as it was. */
  async #used(id: string, record: SessionRecord): Promise<SessionRecord> {
    const { idle, absolute } = this.#settings.lifetime;
    const now = this.#now();
    const isDue = now - record.lastSeenAt >= (idle ?? absolute ?? Infinity) / 10;
    if (!isDue || this.#sliding.has(id)) return record;
    this.#sliding.add(id);
    try {
      const used = await this.#store.update<SessionRecord>(id, (current) => ({ ...current, lastSeenAt: now }));
      return used ?? record;
    } catch {
      return record;
    } finally {
      this.#sliding.delete(id);
    }
  }

  async #change(
    token: string,
    change: (record: SessionRecord) => SessionRecord | Promise<SessionRecord>,
  ): Promise<Session<Data> | undefined> {
    const found = await this.#find(token);
    if (!found) return undefined;
    const changed = await this.#store.update<SessionRecord>(found.id, change);
    return changed && this.#session(found.id, changed);
  }

  async #end(id: string, { subject }: SessionRecord): Promise<boolean> {
    const isEnded = await this.#store.delete(id);
    if (isEnded) this.#emit({ type: 'revoked', id, subject });
    return isEnded;
  }

  /** The sessions of a subject with their ids, newest first; each once, whatever is being regenerated. */
  async #liveOf(subject: string): Promise<(readonly [id: string, record: SessionRecord])[]> {
    assertText('subject', subject);
    const live: (readonly [string, SessionRecord])[] = [];
    for await (const [id, record] of this.#store.entries({ tag: subject })) {
      if (!isSessionRecord(record)) throw new CacheCorruptError('a record with this tag is no session');
      if (record.movedTo === undefined && !this.#isOver(record)) live.push([id, record]);
    }
    return live.toSorted(([a, { createdAt: one }], [b, { createdAt: other }]) => other - one || (a < b ? 1 : -1));
  }

  #isOver(record: SessionRecord): boolean {
    const end = this.#settings.lifetime.endOf(record.createdAt, record.lastSeenAt);
    return end !== null && end <= this.#now();
  }

  #life({ subject, createdAt }: SessionRecord) {
    return { ttl: this.#settings.lifetime.lifeOf(createdAt), tags: subject === null ? [] : [subject] };
  }

  async #session(id: string, record: SessionRecord): Promise<Session<Data>> {
    const { lifetime, schema } = this.#settings;
    const data = await schema.read<Data>(record.data);
    const end = lifetime.endOf(record.createdAt, record.lastSeenAt);
    return new StoredSession(id, record, data, end, lifetime.now);
  }

  #now(): number {
    return this.#settings.lifetime.now();
  }

  /** The one place where events begin. */
  #emit(event: SessionEvent): void {
    this.#events.next(event);
  }
}
