import type { Duration } from '../redis-cache.duration.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertText } from './arguments.js';
import { isToken, randomToken, sha256 } from './secrets.js';

/** The options of `OneTimeCodes` after validation. */
export interface OneTimeCodesSettings {
  readonly length: number;
  readonly characters: string;
  /** Small letters are taken for capital ones. */
  readonly ignoresCase: boolean;
  readonly attempts: number;
  readonly budget: { readonly issues: number; readonly wrong: number; readonly window: number } | undefined;
  /** The secrets as they are now, the one for new codes first. */
  readonly secrets: () => readonly Uint8Array[];
}

/**
 * What a guess gives. `wrong`: with `attemptsLeft: 0` the code is burnt. `none`: there is no code. To strangers both must look
 * alike, or they learn who has asked for a code.
 */
export type Redemption<Data = unknown> =
  { outcome: 'ok'; data: Data } | { outcome: 'wrong'; attemptsLeft: number } | { outcome: 'none' };

/** What a link gives. `none`: unknown, used, expired, or of another purpose. */
export type TokenRedemption<Data = unknown> = { outcome: 'ok'; subject: string; data: Data } | { outcome: 'none' };

/** Short codes that somebody types, and long tokens for links, each usable once. */
export class OneTimeCodes<Data = unknown> {
  readonly #store: RedisCacheStore;

  /** @internal */
  constructor(store: RedisCacheStore, _settings: OneTimeCodesSettings) {
    this.#store = store;
  }

  /** A new code, which replaces an earlier one. @example `await mail.send(user, await codes.issue('login', user.id))` */
  async issue(_purpose: string, _subject: string, _data?: Data, _options: { bind?: string } = {}): Promise<string> {
    throw new CacheArgumentError('issue: comes with the next commits');
  }

  /** Tries a code. @example `const { outcome } = await codes.redeem('login', user.id, body.code)` */
  async redeem(
    _purpose: string,
    _subject: string,
    _code: string,
    _options: { bind?: string } = {},
  ): Promise<Redemption<Data>> {
    throw new CacheArgumentError('redeem: comes with the next commits');
  }

  /** A token for a link. @example `const link = `https://example.com/reset?token=${await codes.issueToken('reset', user.id)}`` */
  async issueToken(purpose: string, subject: string, data?: Data, options: { ttl?: Duration } = {}): Promise<string> {
    const token = randomToken();
    await this.#store.put(linkKey(purpose, token), { subject, data }, options);
    return token;
  }

  /** Redeems the token of a link, once. @example `const reset = await codes.redeemToken('reset', query.token)` */
  async redeemToken(purpose: string, token: string): Promise<TokenRedemption<Data>> {
    if (!isToken(token)) return { outcome: 'none' };
    const link = await this.#store.take<{ subject: string; data: Data }>(linkKey(purpose, token));
    return link ? { outcome: 'ok', subject: link.subject, data: link.data } : { outcome: 'none' };
  }
}

/** Of another purpose there is no such key. */
function linkKey(purpose: string, token: string): string {
  assertText('purpose', purpose);
  return `link:${sha256(JSON.stringify([purpose, token]))}`;
}
