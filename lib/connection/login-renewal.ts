import type { RedisLogin } from '../redis-connection.options.js';
import { delay, wallNow } from '../redis-cache.timers.js';
import { describe } from './failures.js';
import type { LoginSource } from './login.js';

/** A login is renewed so long before it expires, or after three quarters of its time if that is later. In ms. */
const AHEAD = 60_000;
/** The pause after a renewal that failed, and the shortest between two renewals. */
const PAUSE = 1000;
/** The longest that a timer can wait at once. */
const LONGEST = 2 ** 31 - 1;
/** How long asking for credentials may take. */
const ASKED_WITHIN = 10_000;

/**
 * Logs a live connection in again before its login expires, until `signal`: servers with short-lived passwords (Entra, IAM)
 * close a connection, or refuse its commands, once the password it logged in with has expired.
 */
export async function renewLogin(
  login: RedisLogin,
  source: LoginSource,
  logIn: (login: RedisLogin) => Promise<unknown>,
  signal: AbortSignal,
  warn: (message: string) => void,
): Promise<void> {
  let current = login;
  let lastProblem: string | undefined;
  while (current.expiresAt !== undefined) {
    const left = Number(current.expiresAt) - wallNow();
    const pause = lastProblem === undefined ? Math.max(left - AHEAD, left * 0.75) : PAUSE;
    await delay(Math.min(Math.max(pause, PAUSE), LONGEST), signal);
    if (signal.aborted) return;
    if (pause > LONGEST) continue;
    try {
      current = await source.get(ASKED_WITHIN, signal);
      await logIn(current);
      lastProblem = undefined;
    } catch (error) {
      if (signal.aborted) return;
      const problem = describe(error).message;
      if (problem !== lastProblem) warn(`the login could not be renewed: ${problem}`);
      lastProblem = problem;
    }
  }
}
