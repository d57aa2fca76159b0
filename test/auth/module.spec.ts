import { randomBytes } from 'node:crypto';
import { Injectable, Logger, Module } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { Test } from '@nestjs/testing';
import { CacheConfigError, RedisCacheModule, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  getAttemptLimiterToken,
  getOneTimeCodesToken,
  getRefreshTokensToken,
  getSessionsToken,
  InjectAttemptLimiter,
  InjectOneTimeCodes,
  InjectRefreshTokens,
  InjectSessions,
  OneTimeCodes,
  RedisCacheAuthModule,
  type RedisCacheAuthAsyncOptions,
  type RedisCacheAuthOptions,
  RefreshTokens,
  SessionGuard,
  Sessions,
} from 'nestjs-redis-cache-store/auth';

const ROOT: RedisCacheModuleOptions = { url: 'memory:', ttl: '1h' };
const secret = randomBytes(32);
const ALL: Required<Omit<RedisCacheAuthOptions, 'connection'>> = {
  sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
  codes: { namespace: 'code', secret },
  attempts: { namespace: 'attempt' },
};
const named = (name: string): RedisCacheAuthOptions => ({
  sessions: { ...ALL.sessions, name, namespace: `session-${name}` },
  refreshTokens: { ...ALL.refreshTokens, name, namespace: `refresh-${name}` },
  codes: { ...ALL.codes, name, namespace: `code-${name}` },
  attempts: { ...ALL.attempts, name, namespace: `attempt-${name}` },
});

describe('RedisCacheAuthModule', () => {
  const warnings: string[] = [];
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
    warnings.length = 0;
  });

  async function boot(imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>, root = ROOT) {
    const logger = { log() {}, error() {}, warn: (message: string) => warnings.push(message) };
    const all = [RedisCacheModule.forRoot(root), ...imports];
    const module = await Test.createTestingModule({ imports: all }).setLogger(logger).compile();
    closing.push(() => module.close());
    Logger.overrideLogger(logger);
    return module.init();
  }
  const start = (options: RedisCacheAuthOptions, root = ROOT) => boot([RedisCacheAuthModule.forFeature(options)], root);
  const failureOf = (options: unknown, root = ROOT) =>
    start(options as RedisCacheAuthOptions, root).then(
      () => undefined,
      (error: unknown) => error,
    );

  it('provides the four services under their classes', async () => {
    const module = await start(ALL);
    for (const service of [Sessions, RefreshTokens, OneTimeCodes, AttemptLimiter]) {
      expect(module.get<object>(service)).toBeInstanceOf(service);
    }
  });

  it('provides no service that the options leave out', async () => {
    const module = await start({ attempts: ALL.attempts });
    expect(module.get(AttemptLimiter)).toBeInstanceOf(AttemptLimiter);
    expect(() => module.get(Sessions)).toThrow();
  });

  it('can be imported more than once, and provides services with a name under that name', async () => {
    @Injectable()
    class Consumer {
      constructor(
        @InjectSessions('admin') readonly sessions: Sessions,
        @InjectRefreshTokens('admin') readonly refreshTokens: RefreshTokens,
        @InjectOneTimeCodes('admin') readonly codes: OneTimeCodes,
        @InjectAttemptLimiter('admin') readonly attempts: AttemptLimiter,
        @InjectSessions() readonly unnamed: Sessions,
      ) {}
    }
    const features = [RedisCacheAuthModule.forFeature(ALL), RedisCacheAuthModule.forFeature(named('admin'))];
    @Module({ imports: features, providers: [Consumer] })
    class App {}
    const module = await boot([App]);
    const consumer = module.get(Consumer, { strict: false });
    const tokens = [getSessionsToken, getRefreshTokensToken, getOneTimeCodesToken, getAttemptLimiterToken];
    const found = tokens.map((token) => module.get<unknown>(token('admin'), { strict: false }));
    expect(found).toEqual([consumer.sessions, consumer.refreshTokens, consumer.codes, consumer.attempts]);
    expect(consumer.unnamed).toBe(module.get(Sessions, { strict: false }));
    expect(consumer.unnamed).not.toBe(consumer.sessions);
  });

  it('refuses two services of a kind without a name, of which a guard would get either', async () => {
    const sessions = (namespace: string) => ({ sessions: { ...ALL.sessions, namespace } });
    const features = ['users', 'admins'].map((namespace) => RedisCacheAuthModule.forFeature(sessions(namespace)));
    await expect(boot(features)).rejects.toMatchObject({
      code: 'CACHE_CONFIG',
      option: 'name',
      problem: expect.stringContaining('the token "Sessions", and differ in "namespace"'),
    });
    await boot([1, 2].map(() => RedisCacheAuthModule.forFeature(sessions('users'))));
  });

  it('puts services on the connection that the options name', async () => {
    const further = RedisCacheModule.forRoot({ url: 'memory:', name: 'further', ttl: '1h' });
    const attempts = { ...ALL.attempts, limit: 1 };
    const own = RedisCacheAuthModule.forFeature({ attempts: { ...attempts, name: 'own' }, connection: 'further' });
    const useFactory = () => ({ attempts });
    const late = RedisCacheAuthModule.forFeatureAsync({ name: 'late', useFactory, connection: 'further' });
    const module = await boot([further, RedisCacheAuthModule.forFeature({ attempts }), own, late]);
    const limiters = ['own', 'late']
      .map(getAttemptLimiterToken)
      .map((token) => module.get<AttemptLimiter>(token, { strict: false }));
    for (const limiter of limiters) await limiter.hit('key');
    expect(await limiters[0]?.peek('key')).toMatchObject({ count: 1 });
    const missing = boot([RedisCacheAuthModule.forFeature({ attempts, connection: 'none' })]);
    await expect(missing).rejects.toThrow('there is no connection "none"');
  });

  describe('forFeatureAsync', () => {
    const useFactory = () => Promise.resolve(ALL);

    it('provides all four services with options of a factory, of a class, and with a name', async () => {
      class Factory {
        createRedisCacheAuthOptions = useFactory;
      }
      const ways: RedisCacheAuthAsyncOptions[] = [{ useFactory }, { useClass: Factory }, { useFactory, name: 'admin' }];
      for (const way of ways) {
        const module = await boot([RedisCacheAuthModule.forFeatureAsync(way)]);
        expect(module.get(getSessionsToken(way.name), { strict: false })).toBeInstanceOf(Sessions);
        expect(module.get(getAttemptLimiterToken(way.name), { strict: false })).toBeInstanceOf(AttemptLimiter);
      }
    });

    it('says of a service that the factory leaves out that it was left out, once it is used', async () => {
      const module = await boot([
        RedisCacheAuthModule.forFeatureAsync({ useFactory: () => ({ attempts: ALL.attempts }) }),
      ]);
      const sessions = module.get(Sessions, { strict: false });
      expect(() => sessions.events$).toThrow(CacheConfigError);
      expect(() => sessions.get('token')).toThrow('option "sessions": was left out');
      expect(() => module.get(OneTimeCodes, { strict: false }).odds).toThrow('option "codes": was left out');
      const guard = new SessionGuard(sessions, new Reflector());
      const context = new ExecutionContextHost([], Object, () => undefined);
      await expect(guard.canActivate(context)).rejects.toThrow('option "sessions": was left out');
    });

    it.each([
      ['forFeature', () => RedisCacheAuthModule.forFeature(ALL)],
      ['forFeatureAsync', () => RedisCacheAuthModule.forFeatureAsync({ useFactory })],
    ])('has its services passed on by `exports: [RedisCacheAuthModule]`, as %s made them', async (_, make) => {
      @Module({ imports: [make()], exports: [RedisCacheAuthModule] })
      class SharedModule {}
      const user = { provide: 'user', inject: [Sessions], useFactory: (sessions: Sessions) => sessions };
      @Module({ imports: [SharedModule], providers: [user] })
      class UserModule {}
      const module = await boot([UserModule]);
      expect(module.get('user', { strict: false })).toBeInstanceOf(Sessions);
    });

    it('refuses a name in the options of the factory, which comes too late', async () => {
      const late = { useFactory: () => named('admin') };
      await expect(boot([RedisCacheAuthModule.forFeatureAsync(late)])).rejects.toThrow(CacheConfigError);
    });
  });

  describe('options', () => {
    const { sessions, refreshTokens, codes, attempts } = ALL;
    it.each<[option: string, options: unknown]>([
      ['session', { session: sessions }],
      ['sessions.idle', { sessions: { namespace: 'a', absolute: '12h' } }],
      ['sessions.absolute', { sessions: { namespace: 'a', idle: '30m' } }],
      ['sessions.idle', { sessions: { ...sessions, idle: 'soon' } }],
      ['sessions.ttl', { sessions: { ...sessions, ttl: '1h' } }],
      ['sessions', { sessions: null }],
      ['sessions.name', { sessions: { ...sessions, name: '' } }],
      ['sessions.limit', { sessions: { ...sessions, limit: 5 } }],
      ['sessions.limit.sessions', { sessions: { ...sessions, limit: { sessions: 0, when: 'refuse' } } }],
      ['sessions.limit.when', { sessions: { ...sessions, limit: { sessions: 5, when: 'evict' } } }],
      ['sessions.limit.most', { sessions: { ...sessions, limit: { most: 5, when: 'refuse' } } }],
      ['sessions.schema', { sessions: { ...sessions, schema: {} } }],
      ['namespace', { sessions: { ...sessions, namespace: 'a:b' } }],
      ['refreshTokens.namespace', { sessions, refreshTokens: { ...ALL.refreshTokens, namespace: sessions.namespace } }],
      ['refreshTokens.idle', { refreshTokens: { namespace: 'a', absolute: '12h' } }],
      ['refreshTokens.absolute', { refreshTokens: { namespace: 'a', idle: '12h' } }],
      ['refreshTokens.retryWindow', { refreshTokens: { ...refreshTokens, retryWindow: '1h' } }],
      ['refreshTokens.retryWindow', { refreshTokens: { ...refreshTokens, retryWindow: -1 } }],
      ['codes.secret', { codes: { namespace: 'code' } }],
      ['codes.secret', { codes: { ...codes, secret: 'short' } }],
      ['codes.secret', { codes: { ...codes, secret: [] } }],
      ['codes.ttl', { codes: { ...codes, ttl: '61m' } }],
      ['codes.length', { codes: { ...codes, length: 5 } }],
      ['codes.length', { codes: { ...codes, alphabet: 'ab', length: 19 } }],
      ['codes.attempts', { codes: { ...codes, attempts: 101 } }],
      ['codes.alphabet', { codes: { ...codes, alphabet: '0011223344' } }],
      ['codes.alphabet', { codes: { ...codes, alphabet: 'äöü' } }],
      ['codes.budget', { codes: { ...codes, budget: 5 } }],
      ['codes.budget.wrong', { codes: { ...codes, budget: { wrong: 0 } } }],
      ['codes.budget.guesses', { codes: { ...codes, budget: { guesses: 5 } } }],
      ['attempts.limit', { attempts: { ...attempts, limit: 0 } }],
      ['attempts.window', { attempts: { ...attempts, window: 0 } }],
      ['attempts.lockout.first', { attempts: { ...attempts, lockout: { first: 0 } } }],
      ['attempts.lockout.factor', { attempts: { ...attempts, lockout: { factor: 0.5 } } }],
      ['attempts.lockout.longest', { attempts: { ...attempts, lockout: { first: '2h', longest: '1h' } } }],
    ])('fail the boot where "%s" is wrong, and the error names it', async (option, options) => {
      const failure = await failureOf(options);
      expect(failure).toBeInstanceOf(CacheConfigError);
      expect(failure).toMatchObject({ option });
    });

    it('may ask for sessions and families that never end', async () => {
      const never = { idle: null, absolute: null };
      await start({ sessions: { ...sessions, ...never }, refreshTokens: { ...refreshTokens, ...never } });
      expect(warnings).toEqual([]);
    });

    it('may be as long, as short and as many as the limits say, without a warning', async () => {
      await start({
        codes: { ...codes, ttl: '10m', length: 6, attempts: 100 },
        refreshTokens: { ...refreshTokens, retryWindow: '5m' },
      });
      expect(warnings).toEqual([]);
    });

    it('may leave out the secret of codes where the module has encryption keys', async () => {
      const encryption = { keys: [randomBytes(32)] };
      const module = await start({ codes: { namespace: 'code' } }, { ...ROOT, encryption });
      expect(module.get(OneTimeCodes)).toBeInstanceOf(OneTimeCodes);
    });

    it('never show a secret that is refused', async () => {
      const failure = await failureOf({ codes: { ...codes, secret: 'canary-of-secret' } });
      expect(String(failure)).not.toContain('canary');
    });

    it('warn once at the boot of codes that are valid for more than 10 minutes', async () => {
      await start({ codes: { ...codes, ttl: '15m' } });
      expect(warnings).toEqual([expect.stringContaining('10 minutes')]);
    });
  });
});
