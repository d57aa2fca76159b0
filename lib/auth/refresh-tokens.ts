import type { OnApplicationShutdown } from '@nestjs/common';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { Subject } from 'rxjs';
import type { Observable } from 'rxjs';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import type { DataSchema } from './data-schema.js';
import type { Lifetime } from './lifetime.js';
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
 * - `reused`: the token was used before. Its family is gone; somebody has a copy of it.
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

/** Refresh tokens with rotation and detection of reuse (RFC 9700 §4.14.2). */
export class RefreshTokens<Data = unknown, Input = Data> implements OnApplicationShutdown {
  /** What happens through this process. Completes when the application closes. */
  readonly events$: Observable<RefreshEvent>;
  readonly #events = new Subject<RefreshEvent>();

  /** @internal */
  constructor(_store: RedisCacheStore, _settings: RefreshTokensSettings) {
    this.events$ = this.#events.asObservable();
  }

  /** Begins a family; its first token. @example `const refreshToken = await tokens.issue(user.id, { scope: 'mobile' })` */
  async issue(_subject: string, _data: Input, _about?: About): Promise<string> {
    throw new CacheArgumentError('issue: comes with the next commits');
  }

  /** Exchanges a token for its successor. @example `const rotation = await tokens.rotate(refreshToken)` */
  async rotate(_token: string, _change?: (data: Data) => Input | Promise<Input>): Promise<Rotation<Data>> {
    throw new CacheArgumentError('rotate: comes with the next commits');
  }

  /** Ends the family of a token: the logout. @example `await tokens.revoke(refreshToken)` */
  async revoke(_token: string): Promise<boolean> {
    throw new CacheArgumentError('revoke: comes with the next commits');
  }

  /** Ends all families of a subject; how many. @example `await tokens.revokeAll(user.id)` */
  async revokeAll(_subject: string): Promise<number> {
    throw new CacheArgumentError('revokeAll: comes with the next commits');
  }

  /** The families of a subject, newest first. @example `const devices = await tokens.list(user.id)` */
  async list(_subject: string): Promise<RefreshFamily<Data>[]> {
    throw new CacheArgumentError('list: comes with the next commits');
  }

  /** @internal */
  onApplicationShutdown(): void {
    this.#events.complete();
  }
}
