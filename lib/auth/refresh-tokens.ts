import type { StandardSchemaV1 } from '@standard-schema/spec';
import { Subject } from 'rxjs';
import type { Observable } from 'rxjs';
import { assertFunction } from '../redis-cache.arguments.js';
import { tellSession } from '../redis-cache.diagnostics.js';
import { RedisCacheError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertAbout, assertText } from './arguments.js';
import type { DataSchema } from './data-schema.js';
import { decide } from './decide.js';
import type { Decision } from './decide.js';
import { endAll } from './end-all.js';
import { FamilyLives } from './family-lives.js';
import type { Lifetime } from './lifetime.js';
import {
  assertFamily,
  firstToken,
  isLiveOf,
  newFamily,
  parseToken,
  placeOf,
  rotated,
  successorOf,
  tokenText,
} from './refresh-family.js';
import type { FamilyRecord, RefreshToken } from './refresh-family.js';
import { randomToken, sha256 } from './secrets.js';
import type { About } from './session.js';

/** The options of `RefreshTokens` after validation. */
export interface RefreshTokensSettings {
  readonly lifetime: Lifetime;
  /** In ms; 0: strict. */
  readonly retryWindow: number;
  readonly schema: DataSchema;
  /** Tells the operator of something, without a token. */
  readonly warn: (message: string) => void;
}

/** What happened to a family through this process. `family` is a hash, safe to show and to log. */
export interface RefreshEvent {
  readonly type: 'issued' | 'rotated' | 'retried' | 'reused' | 'revoked';
  readonly family: string;
  readonly subject: string;
}

/** All refresh tokens that came of one `issue`: one device. */
export interface RefreshFamily<Data = unknown> {
  /** A hash, safe to show and to log. */
  readonly family: string;
  readonly subject: string;
  readonly data: Data;
  readonly createdAt: Date;
  /** When it was rotated last, or issued. */
  readonly rotatedAt: Date;
  /** When it ends if it is not rotated again; `null`: never. */
  readonly expiresAt: Date | null;
  readonly about?: About;
}

/**
 * What became of a token that a client sent.
 *
 * - `rotated`: send the client `token`, its successor.
 * - `retried`: the token was rotated a moment ago and its successor not used yet; `token` is that same successor.
 * - `reused`: the token was used before, or made up by somebody who knows its family. The family is gone.
 * - `unknown`: no such token: malformed, expired, revoked.
 */
export type Rotation<Data = unknown> =
  | { outcome: 'rotated' | 'retried'; token: string; subject: string; data: Data }
  | { outcome: 'reused'; subject: string }
  | { outcome: 'unknown' };

/** The type of `RefreshTokens` with a schema. @example `constructor(@InjectRefreshTokens() private readonly tokens: RefreshTokensOf<typeof schema>) {}` */
export type RefreshTokensOf<Schema extends StandardSchemaV1> = RefreshTokens<
  StandardSchemaV1.InferOutput<Schema>,
  StandardSchemaV1.InferInput<Schema>
>;

/** What a decision about a token says. */
type Verdict =
  | { readonly outcome: 'rotated' | 'retried'; readonly next: RefreshToken; readonly family: FamilyRecord }
  | { readonly outcome: 'reused'; readonly family: FamilyRecord; readonly isFirst: boolean }
  | { readonly outcome: 'unknown' };

/** A family that was ended for reuse is remembered so long, to say `reused` to others that hold its old tokens. In ms. */
const REMEMBERED = 60_000;

/**
 * Refresh tokens with rotation and detection of reuse (RFC 9700 §4.14.2).
 *
 * - A token is exchanged once. Sent again within `retryWindow`, as long as its successor was not used, it gives the same
 *   successor again: an answer that was lost, and two tabs, log nobody out, and no second chain begins. An answer that was lost for
 *   longer does. The window is judged by Redis' clock.
 * - Any other token of a known family is `reused`, and ends the family for the thief and the owner. (A minute later all its tokens are `unknown`.)
 * - Of any number of concurrent `rotate`s of a token, in any number of processes, one is `rotated`; there is one successor.
 * - A family is one record of constant size. Each token has 256 random bits beside the 128 of its family (RFC 6749, 10.10: 128 or more).
 * - `retryWindow` is 10 s unless the options say otherwise. (Auth0: the previous token only, Supabase 10 s, Okta 30 s, Cognito up to
 *   60 s, Hydra up to 5 min.) `idle` and `absolute` have to be given: RFC 9700 asks for an expiry, and leaves its length open.
 *
 * Somebody with a dump of Redis cannot use any token; with the dump and the previous token he has the current one, until the next
 * rotation. Somebody who may write to Redis can make families up; with `encryption` he can only delete them, put back an old state, or
 * hide one from a `revokeAll` that is not `thorough`.
 * Somebody with one stolen token and its owner cannot both go on: whoever comes second is `reused`.
 *
 * After an `unknown` of `rotate` the client sends the same token again: it is `rotated` or, within the window, `retried`. After
 * one of `issue` it logs in again; the others can be repeated, and then say `false`, or a smaller number, of what was carried out.
 */
export class RefreshTokens<Data = unknown, Input = Data> {
  /** What happens through this process. Completes when the application closes. */
  readonly events$: Observable<RefreshEvent>;
  readonly #events = new Subject<RefreshEvent>();
  readonly #store: RedisCacheStore;
  readonly #settings: RefreshTokensSettings;
  readonly #lives: FamilyLives;

  /** @internal */
  constructor(store: RedisCacheStore, settings: RefreshTokensSettings) {
    this.#store = store;
    this.#settings = settings;
    this.#lives = new FamilyLives(store, settings.lifetime);
    this.events$ = this.#events.asObservable();
  }

  /** Begins a family: at a login. Its first token. @example `const refreshToken = await tokens.issue(user.id, { scope: 'mobile' }, { device: 'Pixel 9' })` */
  async issue(subject: string, data: Input, about?: About): Promise<string> {
    assertText('subject', subject);
    assertAbout(about);
    await this.#settings.schema.check(data);
    const token = firstToken(newFamily());
    const key = sha256(token.family);
    const now = this.#settings.lifetime.now();
    const left = this.#lives.full(now);
    const times = { createdAt: now, rotatedAt: now, left };
    const secrets = { sequence: token.sequence, current: sha256(token.secret) };
    const family: FamilyRecord = { subject, data, ...(about && { about }), ...times, ...secrets };
    await this.#store.put(key, family, { ttl: left, tags: [subject] });
    this.#emit({ type: 'issued', family: key, subject });
    return tokenText(token);
  }

  /**
   * Exchanges a token for its successor in at most two round trips, where no other call changes the family meanwhile, Redis knows the
   * script, and no extension has failed. A rotation that loses a race to another one takes three, to an extension four, or one more if
   * the extension comes between the two halves of its read. To end a family for reuse takes further ones.
   *
   * (Once in half an `idle` a rotation extends the life of the record in Redis, behind its answer; if that fails for half an `idle`, the
   * next rotation does so before its answer.)
   *
   * @param change - gives the data of the successor, from those of the token; an error of it comes through, and nothing is rotated
   * @example
   * ```ts
   * const rotation = await tokens.rotate(body.refreshToken);
   * if (!('token' in rotation)) throw new UnauthorizedException();
   * return { accessToken: sign(rotation.subject), refreshToken: rotation.token };
   * ```
   */
  async rotate(token: string, change?: (data: Data) => Input | Promise<Input>): Promise<Rotation<Data>> {
    if (change !== undefined) assertFunction('change', change);
    const sent = parseToken(token);
    if (!sent) return { outcome: 'unknown' };
    const key = sha256(sent.family);
    const judge = this.#judge(key, sent, change);
    const verdict = (await decide(this.#store, key, judge)) ?? { outcome: 'unknown' };
    if (verdict.outcome === 'unknown') return verdict;
    const { subject } = verdict.family;
    if (verdict.outcome === 'reused') {
      if (verdict.isFirst) await this.#tellOfReuse(key, verdict.family);
      return { outcome: 'reused', subject };
    }
    this.#emit({ type: verdict.outcome, family: key, subject });
    if (verdict.outcome === 'rotated') await this.#lives.keepAlive(key, verdict.family);
    const data = await this.#settings.schema.read<Data>(verdict.family.data);
    return { outcome: verdict.outcome, token: tokenText(verdict.next), subject, data };
  }

  /**
   * Ends the family of a token, whichever of its tokens it is: the logout. `false`: there is none, or it was ended for reuse.
   *
   * @throws CacheCorruptError if there is something that is no family, which stays
   * @example `await tokens.revoke(refreshToken)`
   */
  async revoke(token: string): Promise<boolean> {
    const sent = parseToken(token);
    if (!sent) return false;
    const key = sha256(sent.family);
    let subject = '';
    const isRevoked = await this.#store.deleteIf(key, (family) => {
      assertFamily(family);
      ({ subject } = family);
      return !family.isEnded;
    });
    if (isRevoked) this.#emit({ type: 'revoked', family: key, subject });
    return isRevoked;
  }

  /**
   * Ends all families of a subject, those that are being rotated included; how many. `thorough` also finds those whose index Redis lost (by
   * eviction, or a Cluster by a failover), and costs two walks over all families.
   *
   * @throws CacheCorruptError once all others are gone, if there was something under the subject that is no record
   * @example `await tokens.revokeAll(user.id)`
   */
  async revokeAll(subject: string, options: { thorough?: boolean } = {}): Promise<number> {
    return endAll(this.#store, subject, options, isLiveOf, (family) =>
      this.#emit({ type: 'revoked', family, subject }),
    );
  }

  /** The families of a subject, newest first: its devices. @example `const devices = await tokens.list(user.id)` */
  async list(subject: string): Promise<RefreshFamily<Data>[]> {
    assertText('subject', subject);
    const families: RefreshFamily<Data>[] = [];
    for await (const [family, record] of this.#store.entries({ tag: subject })) {
      assertFamily(record);
      const since = await this.#lives.read(family).sinceRotation(record);
      if (!since || record.isEnded || this.#lives.isOver(record, since())) continue;
      const end = this.#settings.lifetime.endOf(record.createdAt, record.rotatedAt);
      families.push({
        family,
        subject,
        data: await this.#settings.schema.read<Data>(record.data),
        createdAt: new Date(record.createdAt),
        rotatedAt: new Date(record.rotatedAt),
        expiresAt: end === null ? null : new Date(end),
        ...(record.about && { about: record.about }),
      });
    }
    return families.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  /** @internal */
  async beforeApplicationShutdown(): Promise<void> {
    await this.#lives.settled();
  }

  /** A hook of Nest's, which finds it by its name. @internal */
  onApplicationShutdown(): void {
    this.#events.complete();
  }

  /** Decides about a token by the record of its family, again if somebody was faster. */
  #judge(key: string, sent: RefreshToken, change?: (data: Data) => Input | Promise<Input>) {
    const next = { family: sent.family, sequence: sent.sequence + 1, secret: randomToken() };
    const life = this.#lives.read(key); // together with the record that `decide` asks for
    return async (family: FamilyRecord): Promise<Decision<FamilyRecord, Verdict>> => {
      assertFamily(family);
      const place = placeOf(sent, family);
      if (family.isEnded) {
        return { answer: place === 'current' ? { outcome: 'unknown' } : { outcome: 'reused', family, isFirst: false } };
      }
      const since = await life.sinceRotation(family);
      if (!since || this.#lives.isOver(family, since())) return { answer: { outcome: 'unknown' } };
      if (place === 'current') {
        const data = change ? await this.#settings.schema.changed(family.data, change) : family.data;
        const times = { rotatedAt: this.#settings.lifetime.now(), left: family.left - since() };
        const write = { ...family, ...rotated(sent, next), data, ...times };
        return { answer: { outcome: 'rotated', next, family: write }, write };
      }
      if (place === 'previous' && this.#lives.isRecent(since(), this.#settings.retryWindow)) {
        return { answer: { outcome: 'retried', next: successorOf(sent, family), family } };
      }
      const { subject, createdAt, rotatedAt, sequence, current } = family;
      const write = { subject, data: null, createdAt, rotatedAt, left: 0, sequence, current, isEnded: true } as const;
      return { answer: { outcome: 'reused', family: write, isFirst: true }, write };
    };
  }

  /** Tells of a family that this call has ended, and forgets all but that for a while. */
  async #tellOfReuse(key: string, family: FamilyRecord): Promise<void> {
    const { warn } = this.#settings;
    warn(`a refresh token of the family ${key} was used again, which only a copy of it can be; the family is ended`);
    this.#emit({ type: 'reused', family: key, subject: family.subject });
    await this.#store.put(key, family, { ttl: REMEMBERED }).catch((error: unknown) => {
      if (!(error instanceof RedisCacheError)) throw error; // it is ended all the same
    });
  }

  /** The one place where events begin. */
  #emit(event: RefreshEvent): void {
    tellSession('refreshTokens', this.#store.namespace, event.type);
    this.#events.next(event);
  }
}
