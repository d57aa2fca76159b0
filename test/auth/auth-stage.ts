import { Logger } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { RedisCacheModule, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  type AttemptLimiterOptions,
  getRefreshTokensToken,
  OneTimeCodes,
  type OneTimeCodesOptions,
  RedisCacheAuthModule,
  type RedisCacheAuthOptions,
  RefreshTokens,
  type RefreshTokensOptions,
  Sessions,
  type SessionsOptions,
} from 'nestjs-redis-cache-store/auth';
import { Stage } from '../support/stage.js';

type Own<Options> = Partial<Options>;

/** Where the services of `/auth` are tried out: over each backend, with time that passes without waiting. */
export class AuthStage {
  /** What the services of this stage logged. */
  readonly log: string[] = [];
  private readonly modules: TestingModule[] = [];
  private readonly refreshing: RefreshTokens[] = [];
  private opened = 0;

  constructor(readonly stage: Stage) {}

  static async memory(): Promise<AuthStage> {
    return new AuthStage(await Stage.memory());
  }

  static async redis(): Promise<AuthStage> {
    return new AuthStage(await Stage.redis());
  }

  static async cluster(): Promise<AuthStage> {
    return new AuthStage(await Stage.cluster());
  }

  /** An application with services, each in an empty namespace unless the options say otherwise. */
  async open(options: RedisCacheAuthOptions, root: RedisCacheModuleOptions = {}): Promise<TestingModule> {
    // Not the default timeout: no test may fail because the machine is busy.
    const forRoot = RedisCacheModule.forRoot({ timeout: '10s', ttl: '1h', ...this.stage.defaults, ...root });
    const imports = [forRoot, RedisCacheAuthModule.forFeature(options)];
    const record = (message: string) => void this.log.push(message);
    const logger = { log: record, warn: record, error: record };
    const module = await Test.createTestingModule({ imports }).setLogger(logger).compile();
    this.modules.push(module);
    Logger.overrideLogger(logger);
    await module.init();
    if (options.refreshTokens) this.refreshing.push(module.get(getRefreshTokensToken(options.refreshTokens.name)));
    return module;
  }

  async sessions<Data = unknown>(options: Own<SessionsOptions> = {}): Promise<Sessions<Data>> {
    const sessions = { namespace: this.namespace(), idle: '30m', absolute: '12h', ...options };
    return (await this.open({ sessions })).get<Sessions<Data>>(Sessions);
  }

  async refreshTokens<Data = unknown>(options: Own<RefreshTokensOptions> = {}): Promise<RefreshTokens<Data>> {
    const refreshTokens = { namespace: this.namespace(), idle: '14d', absolute: '90d', ...options };
    return (await this.open({ refreshTokens })).get<RefreshTokens<Data>>(RefreshTokens);
  }

  async codes<Data = unknown>(options: Own<OneTimeCodesOptions> = {}): Promise<OneTimeCodes<Data>> {
    const codes = { namespace: this.namespace(), secret: SECRET, ...options };
    return (await this.open({ codes })).get<OneTimeCodes<Data>>(OneTimeCodes);
  }

  async attempts(options: Own<AttemptLimiterOptions> = {}): Promise<AttemptLimiter> {
    return (await this.open({ attempts: { namespace: this.namespace(), ...options } })).get(AttemptLimiter);
  }

  /** One that no other service of the stage has. */
  namespace(): string {
    return `auth-${++this.opened}`;
  }

  /** Time passes for everything that is stored and for this process, once what goes on behind answers has ended. */
  async pass(ms: number): Promise<void> {
    await this.settled();
    await this.stage.pass(ms);
  }

  /** Resolves when no family of refresh tokens is just being extended. */
  async settled(): Promise<void> {
    await Promise.all(this.refreshing.map((tokens) => tokens.beforeApplicationShutdown()));
  }

  /** Closes what was opened, and brings the time back. */
  async clean(): Promise<void> {
    await this.stage.clean();
    await Promise.all(this.modules.splice(0).map((module) => module.close()));
    this.refreshing.length = 0;
    this.log.length = 0;
  }

  async stop(): Promise<void> {
    await this.clean();
    await this.stage.stop();
  }
}

/** 32 bytes. */
export const SECRET = Buffer.alloc(32, 7);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What so many concurrent calls give. */
export function concurrently<T>(calls: number, call: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: calls }, (_, i) => call(i)));
}

/** A number of ms that began to run down just now, however slow the machine is. */
export function about(ms: number): unknown {
  return {
    asymmetricMatch: (given: unknown) => typeof given === 'number' && given <= ms && given > ms - 30 * SECOND,
    toString: () => `about ${ms}`,
  };
}
