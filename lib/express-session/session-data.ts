import type { Cookie, SessionData } from 'express-session';
import { boundedTtl } from '../redis-cache.duration.js';

/** What is stored of a session: as in JSON, neither functions nor properties that are undefined. */
export function dataOf(session: SessionData): SessionData {
  const cookie: Cookie & { toJSON?(): object } = session.cookie;
  return { ...storable(session), cookie: storable(cookie.toJSON?.() ?? cookie) } as SessionData;
}

function storable(fields: object): object {
  const isStored = ([, value]: [string, unknown]) => value !== undefined && typeof value !== 'function';
  return Object.fromEntries(Object.entries(fields).filter(isStored));
}

/**
 * The ms that the record of a session lives: as long as its cookie, or the `usual` ttl if the cookie has no end. A ttl and not the
 * moment, since the clock that the cookie is made by may differ from that of Redis.
 */
export function ttlOf({ expires }: Pick<Cookie, 'expires'>, usual: number | null): number | null {
  return expires ? boundedTtl(new Date(expires).getTime() - Date.now()) : usual;
}

const MARK = '~loaded';
/** `@fastify/session` copies enumerable properties of the data it is given, inherited ones included; hashes and JSON leave out functions. */
const MARKED = { [MARK]: () => true };

/** Marks a session as one that has a record. */
export function mark<T extends SessionData>(session: T): T {
  return Object.defineProperty(session, MARK, { value: true, configurable: true });
}

/** The same for data of which `@fastify/session` makes a session. */
export function marked(data: SessionData): SessionData {
  return Object.assign(Object.create(MARKED) as SessionData, data);
}

/** Whether a session has, or had, a record. */
export function isMarked(session: SessionData): boolean {
  return MARK in session;
}
