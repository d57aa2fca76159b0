import { bounded, delay, wallNow } from '../redis-cache.timers.js';
import { checkLogin } from '../redis-connection.options.js';
import type { RedisLogin } from '../redis-connection.options.js';
import { describe } from './failures.js';

/** A login is renewed so long before it expires, or after three quarters of its time if that is later. In ms. */
const AHEAD = 60_000;
/** The pause after a renewal that failed, and the shortest between two renewals. */
const PAUSE = 1000;
/** The longest that a timer can wait at once. */
const LONGEST = 2 ** 31 - 1;
/** How long asking for credentials may take. */
const ASKED_WITHIN = 10_000;

/** Where logins come from: what the options say, and on top of it what `credentials` gives. */
export class LoginSource {
  // A private name is invisible to `inspect` and JSON.
  readonly #fixed: RedisLogin;
  readonly #ask: (() => RedisLogin | Promise<RedisLogin>) | undefined;
  #asking: Promise<RedisLogin> | undefined;

  constructor(fixed: RedisLogin, ask?: () => RedisLogin | Promise<RedisLogin>) {
    this.#fixed = fixed;
    this.#ask = ask;
  }

  /** The login to use now. Whoever asks at the same time gets the same answer. */
  get(within: number, signal: AbortSignal): RedisLogin | Promise<RedisLogin> {
    const ask = this.#ask;
    if (!ask) return this.#fixed;
    const forget = () => (this.#asking = undefined);
    this.#asking ??= (async () => ({ ...this.#fixed, ...checkLogin(await ask()) }))();
    return bounded(this.#asking, within, 'no credentials came', signal).finally(forget);
  }

  /**
   * Logs a live connection in again before its login expires, until `signal`: servers with short-lived passwords (Entra, IAM)
   * close a connection, or refuse its commands, once the password it logged in with has expired.
   */
  async renew(
    login: RedisLogin,
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
        current = await this.get(ASKED_WITHIN, signal);
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
}
