import type { RedisLogin } from '../redis-connection.options.js';
import { bounded } from './bounded.js';

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

  /** Whether a refused login may be accepted the next time. */
  get mayChange(): boolean {
    return this.#ask !== undefined;
  }

  /** The login to use now. Whoever asks at the same time gets the same answer. */
  get(within: number, signal: AbortSignal): RedisLogin | Promise<RedisLogin> {
    const ask = this.#ask;
    if (!ask) return this.#fixed;
    const forget = () => (this.#asking = undefined);
    this.#asking ??= (async () => ({ ...this.#fixed, ...(await ask()) }))();
    return bounded(this.#asking, within, signal, 'no credentials came').finally(forget);
  }
}
