import { Injectable, Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import {
  getCacheStoreToken,
  InjectCacheStore,
  InjectRedisConnection,
  RedisCacheModule,
  type RedisCacheModuleOptions,
  type RedisCacheOptionsFactory,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';
import { RedisCacheTestingModule } from 'nestjs-redis-cache-store/testing';
import { SILENT } from '../support/cache-app.js';
import { freePort } from '../../scripts/processes.mjs';

@Injectable()
class Users {
  constructor(
    readonly sessions: RedisCacheStore,
    @InjectCacheStore('audit') readonly trail: RedisCacheStore,
    @InjectCacheStore('event') readonly events: RedisCacheStore,
    @InjectCacheStore('code') readonly codes: RedisCacheStore,
    @InjectRedisConnection('audit') readonly audit: RedisConnection,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.sessions.put('begun', true);
  }
}

/** Servers that do not exist, and options from an environment that nobody has set. */
@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, ignoreEnvFile: true }),
    RedisCacheModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        url: config.getOrThrow<string>('NOBODY_SETS_THIS'),
        namespace: 'session',
        ttl: '30m',
      }),
    }),
    RedisCacheModule.forRoot({
      name: 'audit',
      url: 'rediss://audit.invalid',
      redis: { tls: { ca: 'no certificate' } },
      credentials: () => Promise.reject(new Error('no vault')),
      namespace: 'trail',
      ttl: '7d',
      nearCache: true,
    }),
    RedisCacheModule.forFeature({ namespace: 'event', connection: 'audit', ttl: '1h' }),
    RedisCacheModule.forFeatureAsync({ name: 'code', useFactory: () => ({ namespace: 'code', ttl: '10m' }) }),
  ],
  providers: [Users],
})
class AppModule {}

describe('RedisCacheTestingModule', () => {
  let app: TestingModule | undefined;
  let warnings: string[];
  let errors: string[];
  beforeEach(() => ([warnings, errors] = [[], []]));
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function boot(...imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>) {
    const warn = (message: unknown) => void warnings.push(String(message));
    const error = (message: unknown) => void errors.push(String(message));
    const builder = Test.createTestingModule({ imports }).setLogger({ log() {}, error, warn });
    app = await builder.compile();
    return app.init();
  }

  it.each([
    ['after', [AppModule, RedisCacheTestingModule]],
    ['before', [RedisCacheTestingModule, AppModule]],
  ])('imported %s the AppModule puts every store of every connection on memory', async (_, imports) => {
    const { sessions, trail, events, codes, audit } = (await boot(...imports)).get(Users);
    expect(await sessions.get('begun')).toBe(true);
    for (const store of [sessions, trail, events, codes]) {
      await store.put('key', store.namespace, { tags: ['tag'] });
      expect(await store.keys({ tag: 'tag' })).toEqual(['key']);
    }
    expect(await trail.ttl('key')).toBeGreaterThan(6 * 24 * 60 * 60 * 1000);
    expect(await events.ttl('key')).toBeLessThanOrEqual(60 * 60 * 1000);
    expect([audit.status, app?.get(RedisConnection).status]).toEqual(['ready', 'ready']);
    expect(await audit.ping()).toBe('PONG');
  });

  it("says what the factory of forRootAsync threw, as an error, since Nest's logger for tests shows no warnings", async () => {
    await boot(AppModule, RedisCacheTestingModule);
    expect(errors).toContainEqual(expect.stringMatching(/factory throws:.*NOBODY_SETS_THIS/));
  });

  it('lets a factory of forFeatureAsync that throws fail the boot, since no store can do without its options', async () => {
    const useFactory = () => {
      throw new Error('CODE_TTL is not set');
    };
    const late = RedisCacheModule.forFeatureAsync({ name: 'late', useFactory });
    await expect(boot(AppModule, late, RedisCacheTestingModule)).rejects.toThrow('CODE_TTL is not set');
  });

  it('is not needed for a module without the AppModule, beside which the connection may be on memory itself', async () => {
    const feature = RedisCacheModule.forFeature({ namespace: 'alone', ttl: '1m' });
    await expect(boot(feature)).rejects.toThrow('import RedisCacheModule.forRoot()');
    const module = await boot(RedisCacheModule.forRoot({ url: 'memory:', ttl: null }), feature);
    const store = module.get<RedisCacheStore>(getCacheStoreToken('alone'));
    await store.put('key', 1);
    expect(await store.get('key')).toBe(1);
  });

  it('warns that the stores are in memory', async () => {
    await boot(AppModule, RedisCacheTestingModule);
    expect(warnings).toContainEqual(expect.stringMatching(/in memory only/));
  });

  it('keeps what a factory gives that does not throw, but for the way to Redis', async () => {
    class Settings implements RedisCacheOptionsFactory {
      createRedisCacheOptions(): RedisCacheModuleOptions {
        return { url: undefined, namespace: 'session', ttl: '30m', sliding: true };
      }
    }
    const store = (await boot(RedisCacheModule.forRootAsync({ useClass: Settings }), RedisCacheTestingModule)).get(
      RedisCacheStore,
    );
    expect(store.namespace).toBe('session');
    await store.put('key', 1);
    expect(await store.ttl('key')).toBeLessThanOrEqual(1_800_000);
  });

  it('does not touch the client that an application brings along', async () => {
    const client = new Redis({ port: await freePort(), lazyConnect: true });
    const module = await boot(RedisCacheModule.forRoot({ client, ttl: '1h' }), RedisCacheTestingModule);
    await module.get(RedisCacheStore).put('key', 1);
    expect(client.status).toBe('wait');
  });

  it('still refuses a wrong option', async () => {
    const wrong = RedisCacheModule.forFeature({ namespace: 'a:b' });
    await expect(boot(AppModule, wrong, RedisCacheTestingModule)).rejects.toMatchObject({ option: 'namespace' });
  });

  it('gives each application records of its own, and changes nothing for an application without it', async () => {
    await (await boot(AppModule, RedisCacheTestingModule)).get(Users).codes.put('key', 1);
    await app?.close();
    expect(await (await boot(AppModule, RedisCacheTestingModule)).get(Users).codes.get('key')).toBeUndefined();
    await app?.close();
    app = undefined;
    await expect(boot(AppModule)).rejects.toThrow('NOBODY_SETS_THIS');
  });

  it('lets a store be overridden as ever', async () => {
    app = await Test.createTestingModule({ imports: [AppModule, RedisCacheTestingModule] })
      .overrideProvider(getCacheStoreToken('code'))
      .useValue({ namespace: 'fake' })
      .setLogger(SILENT)
      .compile();
    expect(app.get(Users).codes.namespace).toBe('fake');
  });
});
