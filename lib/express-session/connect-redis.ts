import type { SessionData } from 'express-session';

/** A session as connect-redis stores it: JSON, with the end of the cookie as a text. `undefined`: the bytes are none. It may throw. */
export function readConnectRedis(bytes: Buffer): SessionData | undefined {
  const parsed: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isSession(parsed)) return undefined;
  const { cookie } = parsed;
  if (cookie.expires) cookie.expires = new Date(cookie.expires);
  return parsed;
}

function isSession(parsed: unknown): parsed is SessionData {
  if (typeof parsed !== 'object' || parsed === null || !('cookie' in parsed)) return false;
  return typeof parsed.cookie === 'object' && parsed.cookie !== null;
}
