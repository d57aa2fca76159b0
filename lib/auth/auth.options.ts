import { Inject } from '@nestjs/common';
import type { ConfigurableModuleAsyncOptions, InjectionToken } from '@nestjs/common';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Duration } from '../redis-cache.duration.js';
import type { CacheStoreBehavior, EncryptionKey } from '../redis-cache.options.js';
import { AttemptLimiter } from './attempt-limiter.js';
import { OneTimeCodes } from './one-time-codes.js';
import { RefreshTokens } from './refresh-tokens.js';
import { Sessions } from './sessions.js';
import type { TokenSource } from './token-source.js';

/** What each of the four services takes. */
interface ServiceOptions {
  /** Begins every key in Redis: 1 to 64 of `A-Z a-z 0-9 . _ -`, for this service alone. */
  namespace: string;
  /** What `@InjectSessions(name)` and so on ask for. Without a name: the one that is injected by its class. */
  name?: string;
}

/**
 * How sessions live.
 *
 * | source                    | longest idle | longest absolute |
 * | ------------------------- | ------------ | ---------------- |
 * | NIST SP 800-63B-4, AAL2   | 1 h          | 24 h             |
 * | NIST SP 800-63B-4, AAL3   | 15 min       | 12 h             |
 * | OWASP, ordinary risk      | 15 to 30 min | 4 to 8 h         |
 */
export interface SessionsOptions<Schema extends StandardSchemaV1 = StandardSchemaV1> extends ServiceOptions {
  /** A session ends when it was not used for so long. `null`: it ends by `absolute` alone. */
  idle: Duration | null;
  /** A session ends so long after it was created, or after the login that gave it a subject. `null`: it may be kept alive for ever. */
  absolute: Duration | null;
  /**
   * How many sessions a subject may have. One more ends the oldest (`evict-oldest`) or is rejected with TooManySessionsError
   * (`refuse`). Default: no limit.
   */
  limit?: { sessions: number; when: 'evict-oldest' | 'refuse' };
  /** A Standard Schema for `data`, which is checked on writing and on reading. */
  schema?: Schema;
  /**
   * Local copies, see `nearCache` of a store: the guard's read then costs no round trip, and a socket is closed as soon as its session is
   * ended by any instance. Default: off.
   */
  nearCache?: CacheStoreBehavior['nearCache'];
  /** Seals the sessions in Redis. Default: what `forRoot` says. */
  encryption?: CacheStoreBehavior['encryption'];
  /** Where `SessionGuard` and `bind` find the token. Default: `'bearer'`. */
  from?: TokenSource;
  /** How often the session of an open socket is read again, whatever is told, from 1 s to 1 hour; see `bind`. Default: 30 s. */
  recheck?: Duration;
}

/**
 * How refresh tokens live. Retry windows elsewhere: Auth0 accepts the previous token only, Okta 30 s, Supabase 10 s,
 * Cognito up to 60 s, Hydra up to 5 min.
 */
export interface RefreshTokensOptions<Schema extends StandardSchemaV1 = StandardSchemaV1> extends ServiceOptions {
  /** A family ends when it was not rotated for so long. `null`: it ends by `absolute` alone. */
  idle: Duration | null;
  /** A family ends so long after it was issued, however often it was rotated. `null`: never. */
  absolute: Duration | null;
  /**
   * For so long after a rotation the token that was rotated gets the same successor again: for answers that were lost and for
   * two tabs. 0: never (strict). A thief has as long to use a token that he saw being rotated. Up to 5 minutes; default 10 s.
   */
  retryWindow?: Duration;
  /** A Standard Schema for `data`, which is checked on writing and on reading. */
  schema?: Schema;
}

/** How one-time codes live. ASVS 5.0 6.5: usable once, 6 digits or more, at most 10 minutes, few attempts. */
export interface OneTimeCodesOptions extends ServiceOptions {
  /** How long a code is valid: at most 1 hour, with a warning from 10 minutes on. Default: 10 min. */
  ttl?: Duration;
  /** How many characters a code has. Default: 6. */
  length?: number;
  /**
   * `digits` (default), `letters` (24 capital ones, without I and O; small ones are accepted), or the characters themselves.
   * With `length` it must give 1,000,000 codes or more.
   */
  alphabet?: 'digits' | 'letters' | (string & {});
  /** How many guesses a code allows; the last wrong one burns it. Over all of them the odds may be 1 in 10,000 at most. Default: 3. */
  attempts?: number;
  /**
   * How many codes may be issued, and how many guesses may be wrong, within `window` for one purpose and subject (and `bind`):
   * a new code does not bring new guesses without end. In the last minute of `window` right guesses count, too. Default: 5 issues and 10 wrong guesses an hour. `false`: no budget.
   */
  budget?: { issues?: number; wrong?: number; window?: Duration } | false;
  /**
   * 32 random bytes, as the keys of `encryption`. The first of several is for new codes. To rotate it: `[current, next]`, `[next, current]`,
   * `[next]`, each on all instances and a `window` of the budget after the step before. Default: derived from the `encryption` keys of `forRoot`.
   */
  secret?: EncryptionKey | readonly EncryptionKey[];
}

/** NIST SP 800-63B-4 §3.2.2: no more than 100 consecutive failures for one account. */
export interface AttemptLimiterOptions extends ServiceOptions {
  /** How many attempts are allowed within `window`. Default: 10. */
  limit?: number;
  /** From the first attempt on; the count then begins again. Default: 15 min. */
  window?: Duration;
  /**
   * The attempt after `limit` locks for `first` (default 1 min), each further series `factor` times (default 2) as long as the one
   * before, up to `longest` (default 1 h). What was not locked for `longest` begins at `first` again. Default: no lockout.
   */
  lockout?: { first?: Duration; factor?: number; longest?: Duration };
}

/** The options of `RedisCacheAuthModule.forFeature`: any of the four services. */
export interface RedisCacheAuthOptions {
  sessions?: SessionsOptions;
  refreshTokens?: RefreshTokensOptions;
  codes?: OneTimeCodesOptions;
  attempts?: AttemptLimiterOptions;
  /** The name of the connection, as in `RedisCacheModule.forFeature`. Default: the one without a name. */
  connection?: string;
}

/** Where `useClass` and `useExisting` of `forFeatureAsync` get the options from. */
export interface RedisCacheAuthOptionsFactory {
  createRedisCacheAuthOptions(): RedisCacheAuthOptions | Promise<RedisCacheAuthOptions>;
}

/**
 * `imports`, `inject`, and one of `useFactory`, `useClass` and `useExisting`. Beside them the `name` of the services and that of
 * their `connection`, which are needed before the factory runs.
 */
export type RedisCacheAuthAsyncOptions = ConfigurableModuleAsyncOptions<
  RedisCacheAuthOptions,
  keyof RedisCacheAuthOptionsFactory
> & { name?: string; connection?: string };

/** The four services, by their options. */
export const SERVICES = {
  sessions: Sessions,
  refreshTokens: RefreshTokens,
  codes: OneTimeCodes,
  attempts: AttemptLimiter,
} as const;

export type ServiceKind = keyof typeof SERVICES;

/** The injection token of a service: its class, or a text for one with a name. */
export function serviceToken(kind: ServiceKind, name: string | undefined): InjectionToken {
  return name === undefined ? SERVICES[kind] : `${SERVICES[kind].name}:${name}`;
}

/** The injection token of the `Sessions` with that name. @example `app.get<Sessions>(getSessionsToken('admin'))` */
export function getSessionsToken(name?: string): InjectionToken {
  return serviceToken('sessions', name);
}

/** The injection token of the `RefreshTokens` with that name. @example `app.get<RefreshTokens>(getRefreshTokensToken('mobile'))` */
export function getRefreshTokensToken(name?: string): InjectionToken {
  return serviceToken('refreshTokens', name);
}

/** The injection token of the `OneTimeCodes` with that name. @example `app.get<OneTimeCodes>(getOneTimeCodesToken('sms'))` */
export function getOneTimeCodesToken(name?: string): InjectionToken {
  return serviceToken('codes', name);
}

/** The injection token of the `AttemptLimiter` with that name. @example `app.get<AttemptLimiter>(getAttemptLimiterToken('login'))` */
export function getAttemptLimiterToken(name?: string): InjectionToken {
  return serviceToken('attempts', name);
}

/** Injects `Sessions`. @example `constructor(@InjectSessions('admin') private readonly sessions: Sessions<AdminData>) {}` */
export function InjectSessions(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getSessionsToken(name));
}

/** Injects `RefreshTokens`. @example `constructor(@InjectRefreshTokens('mobile') private readonly tokens: RefreshTokens) {}` */
export function InjectRefreshTokens(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getRefreshTokensToken(name));
}

/** Injects `OneTimeCodes`. @example `constructor(@InjectOneTimeCodes('sms') private readonly codes: OneTimeCodes) {}` */
export function InjectOneTimeCodes(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getOneTimeCodesToken(name));
}

/** Injects an `AttemptLimiter`. @example `constructor(@InjectAttemptLimiter('login') private readonly logins: AttemptLimiter) {}` */
export function InjectAttemptLimiter(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getAttemptLimiterToken(name));
}
