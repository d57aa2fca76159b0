import type { StandardSchemaV1 } from '@standard-schema/spec';
import { Subject } from 'rxjs';
import type { Observable } from 'rxjs';
import { assertFunction } from '../redis-cache.arguments.js';
import { tellSession } from '../redis-cache.diagnostics.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertAbout, assertRegenerate, assertText } from './arguments.js';
import { asTooManySessions, failAfterAPart } from './auth.errors.js';
import type { DataSchema } from './data-schema.js';
import { endAll } from './end-all.js';
import type { Lifetime } from './lifetime.js';
import { isToken, randomToken, sha256 } from './secrets.js';
import { assertLeads, isLiveOf, SessionRecords } from './session-records.js';
import type { FoundSession } from './session-records.js';
import { SessionSockets } from './session-sockets.js';
import type { SocketClient } from './session-sockets.js';
import { StoredSession } from './session.js';
import type { About, CreatedSession, RegenerateOptions, Session, SessionEvent, SessionRecord } from './session.js';
import { TokenIds } from './token-ids.js';
import type { TokenSource } from './token-source.js';

/** The options of `Sessions` after validation. */
export interface SessionsSettings {
  readonly lifetime: Lifetime;
  readonly limit: { readonly sessions: number; readonly when: 'evict-oldest' | 'refuse' } | undefined;
  readonly schema: DataSchema;
  readonly from: TokenSource;
  /** In ms. */
  readonly recheck: number;
  /** Whether the store of sessions tells of changes. */
  readonly isWatched: boolean;
}

/** The type of `Sessions` with a schema. @example `constructor(@InjectSessions() private readonly sessions: SessionsOf<typeof schema>) {}` */
export type SessionsOf<Schema extends StandardSchemaV1> = Sessions<
  StandardSchemaV1.InferOutput<Schema>,
  StandardSchemaV1.InferInput<Schema>
>;

/**
 * Sessions that a guard can trust.
 *
 * - A token has 256 random bits (OWASP asks for 64 of entropy). Redis knows its SHA-256 alone.
 * - A session ends by itself, whatever happened to its key in Redis: by `idle` (OWASP: 15 to 30 min; NIST SP 800-63B-4: at most 1 h
 *   at AAL2, 15 min at AAL3) and by `absolute` (OWASP: 4 to 8 h; NIST: at most 24 h at AAL2, 12 h at AAL3).
 * - A token from before a login never reads what came after it (session fixation, ASVS 5.0 7.2.4).
 * - `revokeAll` that resolves has ended every session whose `create` had resolved before, those that are being regenerated
 *   included, unless Redis lost an index (by eviction, or a Cluster by a failover); then with `thorough`.
 *
 * Somebody with a dump of Redis learns subjects, data and devices (with `encryption` subjects alone, with `hashKeys` of `forRoot` not
 * even these), and cannot use any session.
 * Somebody who may write to Redis can make sessions up; with `encryption` he can only delete them, put an old state of
 * one back in its place, or take one out of the index of its subject, so that a `revokeAll` which is not `thorough` misses it.
 * Somebody with one token is that session until it ends, is revoked or regenerated; it opens no other one.
 *
 * Every method but `bind` rejects with CacheUnavailableError in an outage. After an `unknown` of `create` or `regenerate` the user signs in again;
 * everything else can be repeated: a change that adds something may be added twice, and a revocation that was carried out says `false`,
 * or a smaller number.
 */
export class Sessions<Data = unknown, Input = Data> {
  /** What happens through this process. Completes when the application closes. */
  readonly events$: Observable<SessionEvent>;
  readonly #events = new Subject<SessionEvent>();
  readonly #store: RedisCacheStore;
  readonly #settings: SessionsSettings;
  readonly #records: SessionRecords;
  readonly #ids = new TokenIds();
  /** Those that were bound to a session, and how requests bring their tokens. @internal */
  readonly sockets: SessionSockets<Data>;

  /** @internal */
  constructor(store: RedisCacheStore, settings: SessionsSettings) {
    this.#store = store;
    this.#settings = settings;
    this.#records = new SessionRecords(store, settings.lifetime);
    this.events$ = this.#events.asObservable();
    this.sockets = new SessionSockets(this, settings, store);
  }

  /**
   * A new session. `subject`: whose it is (`null` before a login); `about`: what a list of devices shows.
   *
   * @throws TooManySessionsError if the subject has as many as `limit` allows, and `when` is `'refuse'`
   * @example `const { token } = await sessions.create(user.id, { theme: 'dark' }, { device: 'Firefox on Linux' })`
   */
  async create(subject: string | null, data: Input, about?: About): Promise<CreatedSession<Data>> {
    if (subject !== null) assertText('subject', subject);
    assertAbout(about);
    await this.#settings.schema.check(data);
    const token = randomToken();
    const id = sha256(token);
    const now = this.#settings.lifetime.now();
    const times = { createdAt: now, lastSeenAt: now, authenticatedAt: subject === null ? null : now };
    const record: SessionRecord = { subject, data, ...times, origin: id, ...(about && { about }) };
    const options = { ttl: this.#settings.lifetime.lifeOf(now), ...this.#membership(subject) };
    await this.#store.put(id, record, options).catch(asTooManySessions);
    this.#emit({ type: 'created', id, subject });
    await this.#evict(subject);
    return { token, session: await this.#session({ id, record }) };
  }

  /**
   * The session of a token, which is kept alive by that. One `get` of the store; every tenth of `idle` also an `update`.
   *
   * @returns `undefined`: there is no such session; a malformed token is not even looked for
   * @example `const session = await sessions.get(token)`
   */
  get(token: string): Promise<Session<Data> | undefined> {
    // The path of every request: one promise on top of those of the store (bench/auth.mjs tells what more would cost).
    const id = this.#ids.of(token);
    return id === undefined ? Promise.resolve(undefined) : this.#use(id);
  }

  /**
   * Changes the data of a session, by compare-and-set: no other call's change is lost, and `change` runs again if somebody was faster.
   *
   * @example `await sessions.update(token, (data) => ({ ...data, theme: 'light' }))`
   */
  async update(token: string, change: (data: Data) => Input | Promise<Input>): Promise<Session<Data> | undefined> {
    assertFunction('change', change);
    const { schema } = this.#settings;
    const next = async (record: SessionRecord) => ({ ...record, data: await schema.changed(record.data, change) });
    return this.#changed(this.#records.change(token, next));
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
  async regenerate(token: string, asked: RegenerateOptions<Input> = {}): Promise<CreatedSession<Data> | undefined> {
    assertRegenerate(asked);
    const { subject, data, overlap } = asked;
    if (data !== undefined) await this.#settings.schema.check(data);
    if (!isToken(token)) return undefined;
    const { lifetime } = this.#settings;
    const id = sha256(token);
    const current = await this.#records.at(id);
    if (!current || current.movedTo !== undefined) return undefined;
    const next = randomToken();
    const nextId = sha256(next);
    const now = lifetime.now();
    const login = subject !== undefined && { subject, createdAt: now, authenticatedAt: now };
    const change = (record: SessionRecord): SessionRecord => ({
      ...record,
      ...(data !== undefined && { data }),
      ...login,
      lastSeenAt: now,
    });
    const leave = (old: SessionRecord): SessionRecord => ({ ...old, data: null, movedTo: nextId });
    const options = {
      change,
      ttl: lifetime.lifeOf(login ? now : current.createdAt),
      ...(login && this.#membership(subject)),
      ...(overlap !== undefined && { grace: overlap, leave }),
    };
    const record = await this.#store.move<SessionRecord>(id, nextId, options).catch(asTooManySessions);
    if (!record) return undefined;
    this.#emit({ type: 'regenerated', id: nextId, previous: id, subject: record.subject });
    if (login) await this.#evict(subject);
    return { token: next, session: await this.#session({ id: nextId, record }) };
  }

  /** Notes that the subject has just proved who they are; nobody has in a session without one. @example `await sessions.reauthenticate(token); // session.isFresh('5m')` */
  async reauthenticate(token: string): Promise<Session<Data> | undefined> {
    const next = (record: SessionRecord) => ({
      ...record,
      authenticatedAt: record.subject === null ? null : this.#settings.lifetime.now(),
    });
    return this.#changed(this.#records.change(token, next));
  }

  /** The sessions of a subject, newest first. @example `const devices = await sessions.list(user.id)` */
  async list(subject: string): Promise<Session<Data>[]> {
    const live = await this.#records.liveOf(subject, 'throw');
    return Promise.all(live.map((found) => this.#session(found)));
  }

  /** Ends one session of a subject: "sign out this device". `false`: there is none, or it is another subject's. @example `await sessions.revoke(user.id, device.id)` */
  async revoke(subject: string, id: string): Promise<boolean> {
    assertText('subject', subject);
    return isToken(id) && this.#end('revoked', id, subject); // an id looks like a token
  }

  /** Ends the session of a token: the logout. @example `await sessions.revokeToken(token)` */
  async revokeToken(token: string): Promise<boolean> {
    return isToken(token) && this.#end('revoked', sha256(token));
  }

  /**
   * Ends all sessions of the subject of a token but that one; how many.
   *
   * @throws CacheCorruptError once all others are gone, if there was one that could not be read, which `revokeAll` ends
   * @example `await sessions.revokeOthers(token)`
   */
  revokeOthers(token: string): Promise<number> {
    return this.#records.endOthers(token, (id, subject) => this.#end('revoked', id, subject));
  }

  /**
   * Ends all sessions of a subject; how many. `thorough` also finds those whose index was lost, and costs two walks over all sessions.
   *
   * @throws CacheCorruptError once all others are gone, if there was something under the subject that is no record
   * @example `await sessions.revokeAll(user.id); // after a change of password`
   */
  async revokeAll(subject: string, options: { thorough?: boolean } = {}): Promise<number> {
    return endAll(this.#store, subject, options, isLiveOf, (id) => this.#emit({ type: 'revoked', id, subject }));
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
    const record = await this.#records.at(id);
    if (!record || record.movedTo !== undefined) return undefined;
    const end = this.#settings.lifetime.endOf(record.createdAt, record.lastSeenAt);
    return end && end - this.#settings.lifetime.now();
  }

  /** A hook of Nest's, which finds it by its name. @internal */
  onApplicationShutdown(): void {
    this.sockets.stop();
    this.#events.complete();
  }

  async #changed(found: Promise<FoundSession | undefined>): Promise<Session<Data> | undefined> {
    const session = await found;
    return session && this.#session(session);
  }

  async #end(type: 'revoked' | 'evicted', id: string, subject?: string): Promise<boolean> {
    const ended = await this.#records.end(id, subject);
    if (ended) this.#emit({ type, id: ended.id, subject: ended.record.subject });
    return ended !== undefined;
  }

  /** What makes a session one of a subject, if it still may. */
  #membership(subject: string | null) {
    if (subject === null) return { tags: [] };
    const { limit } = this.#settings;
    const isRefused = limit?.when === 'refuse';
    return { tags: [subject], ...(isRefused && { limit: { tag: subject, records: limit.sessions } }) };
  }

  /** After a login: ends the oldest sessions of its subject until there are no more than the limit allows. Whoever comes last sees all of them. */
  async #evict(subject: string | null): Promise<void> {
    const { limit } = this.#settings;
    if (subject === null || limit?.when !== 'evict-oldest') return;
    for (let ended = [false]; ended.includes(false);) {
      // Again if one was regenerated meanwhile. One that cannot be read is no session, and must not keep its subject from logging in.
      const live = await this.#records.liveOf(subject, 'skip').catch(failAfterAPart);
      const ends = live.slice(limit.sessions).map(({ id }) => this.#end('evicted', id, subject));
      ended = await Promise.all(ends).catch(failAfterAPart);
    }
  }

  /** The session that an id leads to, which is kept alive. */
  #use(id: string, moves = 0): Promise<Session<Data> | undefined> {
    return this.#store.get(id).then((value) => {
      const record = this.#records.open(value);
      assertLeads(moves);
      if (record?.movedTo !== undefined) return this.#use(record.movedTo, moves + 1);
      if (record === undefined) return undefined;
      if (!this.#records.isDue(record)) return this.#session({ id, record });
      return this.#records.keepAlive({ id, record }).then((used) => this.#session({ id, record: used }));
    });
  }

  #session({ id, record }: FoundSession): Session<Data> | Promise<Session<Data>> {
    const { lifetime, schema } = this.#settings;
    const data = schema.read<Data>(record.data);
    if (data instanceof Promise) return data.then((read) => new StoredSession(id, record, read, lifetime));
    return new StoredSession(id, record, data, lifetime);
  }

  /** The one place where events begin. */
  #emit(event: SessionEvent): void {
    tellSession('sessions', this.#store.namespace, event.type);
    this.#events.next(event);
  }
}
