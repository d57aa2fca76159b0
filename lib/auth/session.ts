import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import type { Duration } from '../redis-cache.duration.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { Lifetime } from './lifetime.js';
import { isToken } from './secrets.js';

/** What a list of devices shows of a session or a refresh token: `{ device: 'Firefox on Linux', address: '203.0.113.7' }`. */
export type About = Readonly<Record<string, unknown>>;

/** A session as its owner and a guard see it. Nothing in it is secret: the token is not. */
export interface Session<Data = unknown> {
  /** SHA-256 of the token's text, in base64url: safe to show and to log. */
  readonly id: string;
  /** Whose session it is; `null`: nobody has logged in yet. */
  readonly subject: string | null;
  readonly data: Data;
  /** When it was created, or when the login was that gave it its subject. */
  readonly createdAt: Date;
  /** When it was used last, to a tenth of `idle`; without `idle` of `absolute`, without both of a day. */
  readonly lastSeenAt: Date;
  /** When its subject proved who they are: at the login, or at the last `reauthenticate`. */
  readonly authenticatedAt: Date | null;
  /** When it ends if it is not used again; `null`: never. */
  readonly expiresAt: Date | null;
  readonly about?: About;
  /** Whether its subject was authenticated within this time, for step-up: `session.isFresh('5m')`. */
  isFresh(within: Duration): boolean;
}

/** What happened to a session through this process. What expires by itself is not told. */
export type SessionEvent = {
  /** Of a session that was regenerated: its new id. */
  readonly id: string;
  readonly subject: string | null;
} & (
  { readonly type: 'created' | 'revoked' | 'evicted' } | { readonly type: 'regenerated'; readonly previous: string }
);

/** A new session, and the token that leads to it: give it to the client, and store it nowhere. */
export interface CreatedSession<Data> {
  readonly token: string;
  readonly session: Session<Data>;
}

/** Options of `regenerate`. */
export interface RegenerateOptions<Data> {
  /** Who has just logged in. */
  readonly subject?: string;
  /** Data in the place of those the session has. */
  readonly data?: Data;
  /** For so long the old token leads to the new session. */
  readonly overlap?: Duration;
}

/** What is stored of a session, times in ms since the epoch. */
export interface SessionRecord {
  readonly subject: string | null;
  readonly data: unknown;
  readonly createdAt: number;
  readonly lastSeenAt: number;
  readonly authenticatedAt: number | null;
  readonly about?: About;
  /** The first id of the session, which tells that two records are one session while it is being regenerated. */
  readonly origin: string;
  /** During an overlap: the id of the session that this one has become. */
  readonly movedTo?: string;
}

/** Whether what was read is a session at all. */
export function isSessionRecord(value: unknown): value is SessionRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { subject, createdAt, lastSeenAt, authenticatedAt, origin, movedTo } = value as Partial<SessionRecord>;
  return (
    (subject === null || typeof subject === 'string') &&
    typeof createdAt === 'number' &&
    typeof lastSeenAt === 'number' &&
    (authenticatedAt === null || typeof authenticatedAt === 'number') &&
    typeof origin === 'string' &&
    (movedTo === undefined || isToken(movedTo)) // an id looks like a token
  );
}

/** A session from its record. */
export class StoredSession<Data> implements Session<Data> {
  readonly subject: string | null;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly authenticatedAt: Date | null;
  readonly expiresAt: Date | null;
  declare readonly about?: About;
  readonly #lifetime: Lifetime;

  constructor(
    readonly id: string,
    { subject, createdAt, lastSeenAt, authenticatedAt, about }: SessionRecord,
    readonly data: Data,
    lifetime: Lifetime,
  ) {
    this.subject = subject;
    this.createdAt = new Date(createdAt);
    this.lastSeenAt = new Date(lastSeenAt);
    this.authenticatedAt = authenticatedAt === null ? null : new Date(authenticatedAt);
    const end = lifetime.endOf(createdAt, lastSeenAt);
    this.expiresAt = end === null ? null : new Date(end);
    if (about !== undefined) this.about = about;
    this.#lifetime = lifetime;
  }

  isFresh(within: Duration): boolean {
    const ms = toMilliseconds(within);
    if (ms === undefined) throw new CacheArgumentError(`within: ${durationProblem(within)}`);
    return this.authenticatedAt !== null && this.#lifetime.now() - this.authenticatedAt.getTime() <= ms;
  }
}
