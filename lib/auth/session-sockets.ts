import type { ExecutionContext } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import type { Observable, Subscription } from 'rxjs';
import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { clearTimeout, now, setTimeout } from '../redis-cache.timers.js';
import type { Session, SessionEvent } from './session.js';
import { findToken } from './token-source.js';
import type { FoundToken, TokenSource } from './token-source.js';

/** A client of a gateway: a Socket of Socket.IO or a WebSocket of `ws`. */
export interface SocketClient {
  /** `ws`: a number, from 2 on closed. */
  readonly readyState?: unknown;
  /** Socket.IO. */
  readonly disconnected?: boolean;
  on(event: string, listener: () => void): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  close?(code: number, reason: string): void;
  disconnect?(close: boolean): unknown;
}

/** What is asked of the sessions. */
interface SessionSource<Data> {
  readonly events$: Observable<SessionEvent>;
  get(token: string): Promise<Session<Data> | undefined>;
  /** How long a session goes on if it is not used, in ms; `null`: for ever; `undefined`: it has ended. Keeps nothing alive. */
  left(id: string): Promise<number | null | undefined>;
}

/** How sockets bring their tokens, and how their sessions are looked at. */
interface SocketSettings {
  readonly from: TokenSource;
  /** In ms. */
  readonly recheck: number;
  /** Whether the store of sessions tells of changes. */
  readonly isWatched: boolean;
}

/** A socket and the session that it was opened with. */
interface Bound {
  readonly client: SocketClient;
  readonly token: string;
  readonly id: string;
  /** When the session was last known to go on, by `now()`. */
  provenAt: number;
  timer?: NodeJS.Timeout;
  changes?: Subscription | undefined;
}

/** Why a socket is closed: the codes of RFC 6455, and the words of the event `exception` of Nest. */
const CLOSINGS = {
  ended: { code: 1008, message: 'Unauthorized', name: 'UNAUTHENTICATED' },
  foreign: { code: 1008, message: 'The request comes from another site', name: 'FORBIDDEN' },
  unavailable: { code: 1013, message: 'Service Unavailable', name: 'SERVICE_UNAVAILABLE' },
} as const;

/** How often an outage is asked whether it is over, in ms. */
const RETRY_PAUSE = 1000;
/** Node fires a longer timer at once. In ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * The sockets that were opened with a session. A socket lives longer than a request, so its session is read again every `recheck`,
 * and the socket is closed once the session is over. What ends a session in this process closes its sockets at once; where sessions
 * have a near cache, what other instances end does so as soon as Redis tells of it.
 */
export class SessionSockets<Data> {
  readonly #source: TokenSource;
  readonly #recheck: number;
  readonly #sessions: SessionSource<Data>;
  /** Tells when something has happened to a session, by whichever instance. */
  readonly #changes: ((id: string) => Observable<unknown>) | undefined;
  readonly #bindings = new WeakMap<object, Promise<Bound | undefined>>();
  readonly #bound = new Map<string, Set<Bound>>();

  constructor(sessions: SessionSource<Data>, settings: SocketSettings, store: Pick<RedisCacheStore, 'watch'>) {
    this.#sessions = sessions;
    this.#source = settings.from;
    this.#recheck = settings.recheck;
    if (settings.isWatched) this.#changes = (id) => store.watch(id);
    sessions.events$.subscribe((event) => {
      if (event.type === 'revoked' || event.type === 'evicted') this.#closeAll(event.id);
      if (event.type === 'regenerated') this.#closeAll(event.previous);
    });
  }

  /** The token of a request or message; for a client that was bound, that of its handshake. */
  async findToken(context: ExecutionContext): Promise<FoundToken> {
    const binding = context.getType() === 'ws' && this.#bindings.get(context.switchToWs().getClient<object>());
    if (!binding) return findToken(this.#source, context);
    return { token: (await binding)?.token };
  }

  /** See `Sessions.bind`. */
  async bind(client: SocketClient, handshake: unknown): Promise<Session<Data> | undefined> {
    const authenticated = this.#authenticate(client, handshake);
    this.#bindings.set(
      client,
      authenticated.then((both) => both?.bound),
    );
    return (await authenticated)?.session;
  }

  /** Forgets all sockets; the application closes them itself. */
  stop(): void {
    for (const sockets of this.#bound.values()) for (const bound of sockets) this.#forget(bound);
  }

  async #authenticate(client: SocketClient, handshake: unknown) {
    const context = new ExecutionContextHost([client, handshake]);
    context.setType('ws');
    const sent = findToken(this.#source, context);
    if (sent === 'forbidden') return close(client, 'foreign');
    const { token } = sent;
    try {
      const session = token === undefined ? undefined : await this.#sessions.get(token);
      if (!session || token === undefined) return close(client, 'ended');
      const bound: Bound = { client, token, id: session.id, provenAt: now() };
      this.#watch(bound);
      return { session, bound };
    } catch (error) {
      // Nest awaits no `handleConnection`: a rejection would end the process.
      return close(client, isOutage(error) ? 'unavailable' : 'ended');
    }
  }

  #watch(bound: Bound): void {
    const { client, id } = bound;
    if (hasClosed(client)) return;
    const sockets = this.#bound.get(id) ?? new Set();
    this.#bound.set(id, sockets.add(bound));
    client.on(isNative(client) ? 'close' : 'disconnect', () => this.#forget(bound));
    this.#checkIn(this.#recheck, bound);
    bound.changes = this.#changes?.(id).subscribe(() => this.#checkIn(0, bound));
  }

  #checkIn(ms: number, bound: Bound): void {
    clearTimeout(bound.timer);
    bound.timer = setTimeout(() => void this.#check(bound), Math.min(ms, LONGEST_TIMER)).unref();
  }

  async #check(bound: Bound): Promise<void> {
    try {
      const left = await this.#sessions.left(bound.id);
      if (!this.#bound.get(bound.id)?.has(bound)) return;
      if (left === undefined) return this.#close(bound, 'ended');
      bound.provenAt = now();
      this.#checkIn(Math.min(this.#recheck, left ?? Infinity), bound);
    } catch (error) {
      if (!this.#bound.get(bound.id)?.has(bound)) return;
      if (!isOutage(error)) return this.#close(bound, 'ended');
      // Whether the session has ended cannot be known: the socket is given as long again as between two looks.
      if (now() - bound.provenAt >= 2 * this.#recheck) return this.#close(bound, 'unavailable');
      this.#checkIn(Math.min(RETRY_PAUSE, this.#recheck), bound);
    }
  }

  #closeAll(id: string): void {
    for (const bound of this.#bound.get(id) ?? []) this.#close(bound, 'ended');
  }

  #close(bound: Bound, why: keyof typeof CLOSINGS): void {
    this.#forget(bound);
    close(bound.client, why);
  }

  #forget(bound: Bound): void {
    clearTimeout(bound.timer);
    bound.changes?.unsubscribe();
    const sockets = this.#bound.get(bound.id);
    sockets?.delete(bound);
    if (sockets?.size === 0) this.#bound.delete(bound.id);
  }
}

function isOutage(error: unknown): boolean {
  return error instanceof CacheUnavailableError || error instanceof CacheCommandError;
}

function isNative({ readyState }: SocketClient): boolean {
  return typeof readyState === 'number';
}

function hasClosed({ readyState, disconnected }: SocketClient): boolean {
  return disconnected === true || (typeof readyState === 'number' && readyState >= 2);
}

function close(client: SocketClient, why: keyof typeof CLOSINGS): undefined {
  const { code, message, name } = CLOSINGS[why];
  if (isNative(client)) client.close?.(code, message);
  else {
    client.emit('exception', { status: 'error', message, code: name });
    client.disconnect?.(true);
  }
  return undefined;
}
