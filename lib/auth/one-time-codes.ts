import { createHmac, randomInt } from 'node:crypto';
import { assertOptions } from '../redis-cache.arguments.js';
import type { Duration } from '../redis-cache.duration.js';
import { afterAPart, CacheArgumentError, CacheCorruptError, RedisCacheError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertText } from './arguments.js';
import { TooManyAttemptsError } from './auth.errors.js';
import { decide } from './decide.js';
import { equalInConstantTime, isToken, randomToken, sha256 } from './secrets.js';

/** The options of `OneTimeCodes` after validation; times in ms. */
export interface OneTimeCodesSettings {
  readonly length: number;
  readonly characters: string;
  /** Small letters are taken for capital ones. */
  readonly ignoresCase: boolean;
  readonly attempts: number;
  readonly budget: { readonly issues: number; readonly wrong: number; readonly window: number } | undefined;
  /** The secrets as they are now, at least one, that for new codes first. */
  readonly secrets: () => readonly Uint8Array[];
}

/**
 * What a guess is told. `wrong`: with `attemptsLeft: 0` the code is burnt. `none`: there is no code, or no guess is left in the
 * budget. To strangers both must look alike, or they learn who has asked for a code.
 */
export type Redemption<Data = unknown> =
  { outcome: 'ok'; data: Data } | { outcome: 'wrong'; attemptsLeft: number } | { outcome: 'none' };

/** What a link is told. `none`: unknown, used, expired, or of another purpose. */
export type TokenRedemption<Data = unknown> = { outcome: 'ok'; subject: string; data: Data } | { outcome: 'none' };

/** What is stored of a code; burnt, it has no attempts left. */
interface CodeRecord {
  /** HMAC-SHA-256 of purpose, subject, bind and code. */
  readonly hash: string;
  readonly attempts: number;
  readonly data: unknown;
}

/** What is stored of a link. */
interface LinkRecord {
  readonly subject: string;
  readonly data: unknown;
}

/** What a code is for. */
type Purpose = readonly [purpose: string, subject: string, bind: string | null];

/** What a guess has cost: how many are left after it, -1: there was none. */
interface Charge {
  readonly left: number;
  readonly isRefundable: boolean;
}

/** A guess, which is charged once, however many codes it is compared with. */
interface Guess {
  readonly what: Purpose;
  readonly typed: string;
  charge?: Charge;
}

const DAY = 24 * 60 * 60 * 1000;
const BURNT: CodeRecord = { hash: '', attempts: 0, data: null };
/** A guess is given back to the budget if its window lasts longer than any call does, lest the next one be given it. In ms. */
const REFUND_BEFORE = 60_000;

/**
 * Short codes that somebody types, and long tokens for links, each usable once.
 *
 * **Codes** (ASVS 5.0 6.5: used once, 6 digits or more, valid for 10 minutes at most, few attempts).
 *
 * - A wrong guess costs one of the `attempts`, and the last one burns the code. Of any number of concurrent guesses no more than
 *   `attempts` are compared; of concurrent right ones one is `ok`.
 * - A new code replaces an earlier one. Issues and wrong guesses also count over all codes of a purpose and subject (`budget`). With
 *   the defaults a guesser's odds are 1 in 333,333 for a code, and 1 in 4,000 for a day; {@link odds} has them for other options.
 * - With `bind`, the value of a cookie that was set before the login, nobody else can replace the code or spend its attempts and
 *   its budget. Each `bind` has a budget of its own, so bound how many a client gets (AttemptLimiter). Without `bind`, strangers who
 *   know the subject can keep its owner from getting in.
 *
 * Somebody with a dump of Redis cannot try codes out: they, and the keys of their records, are hashed under `secret`, which Redis
 * does not know. Somebody who may write to Redis can reset budgets, and put a record back that was used.
 *
 * **Tokens for links** have 256 random bits; Redis knows a SHA-256 of them. Whoever reads the mail can use the link, once.
 *
 * Somebody with one stolen link or code (and its `bind`) can redeem it, if its owner has not done so; it gives no other one.
 *
 * After an `unknown`, repeat the call: of `redeem` and `redeemToken` it is `ok`, or `none` if it was carried out; then issue anew. A
 * wrong guess that is repeated may cost two attempts. An `issue` that is repeated counts twice; of an `issueToken` that is repeated the
 * first link, which nobody was sent, ends by itself.
 */
export class OneTimeCodes<Data = unknown> {
  /** The odds of somebody who guesses, for one code and for a day of all guesses that `budget` allows (1: no budget). */
  readonly odds: { readonly code: number; readonly day: number };
  readonly #store: RedisCacheStore;
  readonly #settings: OneTimeCodesSettings;

  /** @internal */
  constructor(store: RedisCacheStore, settings: OneTimeCodesSettings) {
    this.#store = store;
    this.#settings = settings;
    const { characters, length, attempts, budget } = settings;
    const codes = characters.length ** length;
    // A day touches one window more than fit into it.
    const guesses = budget ? budget.wrong * (Math.floor(DAY / budget.window) + 1) : Infinity;
    this.odds = { code: attempts / codes, day: Math.min(1, guesses / codes) };
  }

  /**
   * A new code, which replaces an earlier one of the purpose and subject (and `bind`).
   *
   * @throws TooManyAttemptsError if the budget is spent; `retryAfter` says until when
   * @example `await mail.send(user.email, await codes.issue('login', user.id))`
   */
  async issue(purpose: string, subject: string, data?: Data, options: { bind?: string } = {}): Promise<string> {
    const what = purposeOf(purpose, subject, options);
    await this.#chargeIssue(what);
    const { characters, length, attempts } = this.#settings;
    const code = Array.from({ length }, () => characters.charAt(randomInt(characters.length))).join('');
    const [hash = ''] = this.#hashes(what, code);
    const [name = '', ...others] = this.#names('code', what);
    try {
      if (others.length > 0) await this.#store.deleteMany(others);
      await this.#store.put(name, { hash, attempts, data } satisfies CodeRecord);
    } catch (error) {
      throw this.#settings.budget || others.length > 0 ? afterAPart(error) : error;
    }
    return code;
  }

  /**
   * Tries a code; spaces and hyphens that somebody typed do not matter.
   *
   * @example `if ((await codes.redeem('login', user.id, body.code)).outcome !== 'ok') throw new UnauthorizedException()`
   */
  async redeem(
    purpose: string,
    subject: string,
    code: string,
    options: { bind?: string } = {},
  ): Promise<Redemption<Data>> {
    const what = purposeOf(purpose, subject, options);
    const guess: Guess = { what, typed: this.#normalized(code) };
    let redemption: Redemption<Data> = { outcome: 'none' };
    try {
      for (const name of this.#names('code', what)) {
        redemption = (await this.#compare(name, guess)) ?? redemption;
        if (redemption.outcome !== 'none') break;
      }
    } catch (error) {
      throw guess.charge && this.#settings.budget ? afterAPart(error) : error;
    }
    if (guess.charge?.isRefundable && redemption.outcome !== 'wrong') await this.#refundGuess(what);
    return redemption;
  }

  /**
   * A token for a link, of 43 characters, valid for `ttl` (default: that of the codes). Issuing costs no budget.
   *
   * @example `const link = `https://example.com/reset?token=${await codes.issueToken('reset', user.id, undefined, { ttl: '1h' })}``
   */
  async issueToken(purpose: string, subject: string, data?: Data, options: { ttl?: Duration } = {}): Promise<string> {
    assertText('subject', subject);
    assertOptions(options, ['ttl']);
    if (options.ttl === null) throw new CacheArgumentError('ttl: must not be null, since a link has to end');
    const token = randomToken();
    await this.#store.put(linkKey(purpose, token), { subject, data } satisfies LinkRecord, options);
    return token;
  }

  /**
   * Redeems the token of a link, once; a token of another purpose stays. One round trip, two with `encryption`.
   *
   * @throws CacheCorruptError if there was something that is no link
   * @example `const reset = await codes.redeemToken('reset', query.token)`
   */
  async redeemToken(purpose: string, token: string): Promise<TokenRedemption<Data>> {
    assertText('purpose', purpose);
    if (!isToken(token)) return { outcome: 'none' };
    const link = await this.#store.take<LinkRecord>(linkKey(purpose, token));
    if (link === undefined) return { outcome: 'none' };
    if (typeof link?.subject !== 'string') throw new CacheCorruptError('the record is no link');
    return { outcome: 'ok', subject: link.subject, data: link.data as Data };
  }

  /** Compares a guess with the code that lies under a name; `undefined`: there is none. */
  #compare(name: string, guess: Guess): Promise<Redemption<Data> | undefined> {
    const { what, typed } = guess;
    return decide<CodeRecord, Redemption<Data>>(this.#store, name, async (record) => {
      assertCode(record);
      if (record.attempts === 0) return { answer: { outcome: 'none' } };
      // Before the comparison: a guess that was not paid for learns nothing.
      const { left } = (guess.charge ??= await this.#chargeGuess(what));
      if (left < 0) return { answer: { outcome: 'none' } };
      const isRight = this.#hashes(what, typed).filter((hash) => equalInConstantTime(hash, record.hash)).length > 0;
      if (isRight) return { answer: { outcome: 'ok', data: record.data as Data }, write: BURNT };
      const attemptsLeft = Math.min(record.attempts - 1, left);
      const write = attemptsLeft === 0 ? BURNT : { ...record, attempts: attemptsLeft };
      return { answer: { outcome: 'wrong', attemptsLeft }, write };
    });
  }

  /** @throws TooManyAttemptsError */
  async #chargeIssue(what: Purpose): Promise<void> {
    const { budget } = this.#settings;
    if (!budget) return;
    for (const name of this.#names('wrong', what)) {
      const wrong = await this.#store.counter(name);
      // A code that nobody may guess would only fill a mailbox.
      if (wrong && wrong.count >= budget.wrong) throw new TooManyAttemptsError(wrong.ttl ?? Infinity);
    }
    for (const name of this.#names('issues', what)) {
      const hit = await this.#store.increment(name, { limit: budget.issues, ttl: budget.window });
      if (!hit.allowed) throw new TooManyAttemptsError(hit.retryAfter);
    }
  }

  /** Takes a guess out of the budget. */
  async #chargeGuess(what: Purpose): Promise<Charge> {
    const { budget } = this.#settings;
    if (!budget) return { left: Infinity, isRefundable: false };
    const { wrong: limit, window: ttl } = budget;
    let charge: Charge = { left: limit, isRefundable: true };
    for (const name of this.#names('wrong', what)) {
      const hit = await this.#store.increment(name, { limit, ttl });
      if (!hit.allowed) return { left: -1, isRefundable: false };
      const isRefundable = charge.isRefundable && (hit.ttl ?? Infinity) > REFUND_BEFORE;
      charge = { left: Math.min(charge.left, limit - hit.count), isRefundable };
    }
    return charge;
  }

  /** What was not wrong costs nothing. */
  async #refundGuess(what: Purpose): Promise<void> {
    const refunds = this.#names('wrong', what).map((name) => this.#store.increment(name, { by: -1 }));
    for (const refund of await Promise.allSettled(refunds)) {
      // The guess was answered all the same.
      if (refund.status === 'rejected' && !(refund.reason instanceof RedisCacheError)) throw refund.reason;
    }
  }

  /** As somebody may have typed it: with spaces and hyphens, in small letters. */
  #normalized(code: unknown): string {
    const { characters, ignoresCase } = this.#settings;
    const given = typeof code === 'string' ? code : ''; // of a request's body; no guess that could be right
    const text = ignoresCase ? given.toUpperCase() : given;
    return text.replaceAll(/[\s-]/g, (sign) => (characters.includes(sign) ? sign : ''));
  }

  /**
   * The keys of a record or counter, which do not tell whose it is: one for each secret, the first for new records. All are looked at
   * and counted under, so that instances that know one secret more or less agree while it is rotated.
   */
  #names(kind: 'code' | 'wrong' | 'issues', what: Purpose): string[] {
    return this.#settings.secrets().map((secret) => `${kind}:${hmac(secret, [kind, ...what])}`);
  }

  /** What is stored of a code: one hash for each secret, the first for new records. */
  #hashes(what: Purpose, code: string): string[] {
    return this.#settings.secrets().map((secret) => hmac(secret, ['hash', ...what, code]));
  }
}

/** @throws CacheArgumentError */
function purposeOf(purpose: string, subject: string, options: { bind?: string }): Purpose {
  assertOptions(options, ['bind']);
  const { bind } = options;
  assertText('purpose', purpose);
  assertText('subject', subject);
  if (bind !== undefined) assertText('bind', bind);
  return [purpose, subject, bind ?? null];
}

/** As JSON, in which no two lists look alike. */
function hmac(secret: Uint8Array, parts: readonly (string | null)[]): string {
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest('base64url');
}

/** Of another purpose there is no such key. */
function linkKey(purpose: string, token: string): string {
  assertText('purpose', purpose);
  return `link:${sha256(JSON.stringify([purpose, token]))}`;
}

/** @throws CacheCorruptError */
function assertCode(value: unknown): asserts value is CodeRecord {
  const { hash, attempts } = (value ?? {}) as Partial<CodeRecord>;
  if (typeof hash === 'string' && typeof attempts === 'number') return;
  throw new CacheCorruptError('the record is no one-time code');
}
