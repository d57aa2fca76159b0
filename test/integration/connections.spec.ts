import { type DynamicModule, Injectable, Module, type ModuleMetadata } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  type CacheStoreOptions,
  getCacheStoreToken,
  getRedisConnectionToken,
  InjectCacheStore,
  InjectRedisConnection,
  RedisCacheModule,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';
import { RedisCacheHealthIndicator } from 'nestjs-redis-cache-store/health';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';

@Injectable()
class Audit {
  constructor(
    @InjectRedisConnection('audit') readonly connection: RedisConnection,
    @InjectRedisConnection() readonly main: RedisConnection,
    @InjectCacheStore('audit') readonly ownStore: RedisCacheStore,
    @InjectCacheStore('event') readonly events: RedisCacheStore,
    readonly sessions: RedisCacheStore,
  ) {}
}

describe('two Redis servers in one application', () => {
  let servers: [RedisServer, RedisServer];
  let app: TestingModule | undefined;
  let lines: string[];

  beforeAll(async () => {
    servers = [await RedisServer.start(), await RedisServer.start()];
  });
  beforeEach(() => (lines = []));
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  const keep = (message: unknown, context?: unknown) => {
    if (context === 'RedisCacheModule') lines.push(String(message));
  };

  async function boot(metadata: ModuleMetadata): Promise<TestingModule> {
    const builder = Test.createTestingModule(metadata).setLogger({ log: keep, warn: keep, error: keep });
    app = await builder.compile();
    return app.init();
  }
  const main = () => RedisCacheModule.forRoot({ url: servers[0].url, namespace: 'session', ttl: '1h' });
  const audit = { namespace: 'trail', ttl: '1h', timeout: '500ms' };
  const auditOf = () => ({ ...audit, url: servers[1].url });
  const events = RedisCacheModule.forFeature({ namespace: 'event', connection: 'audit', ttl: '1h' });

  const named: [string, () => ReturnType<typeof RedisCacheModule.forRoot>][] = [
    ['forRoot', () => RedisCacheModule.forRoot({ name: 'audit', ...auditOf() })],
    ['forRootAsync', () => RedisCacheModule.forRootAsync({ name: 'audit', useFactory: auditOf })],
  ];

  it.each(named)('have stores and a connection each, with a name given to %s', async (_, root) => {
    const {
      ownStore,
      events: store,
      sessions,
      connection,
      main: other,
    } = (await boot({ imports: [main(), root(), events], providers: [Audit] })).get(Audit);
    await Promise.all([ownStore.put('a', 1), store.put('b', 2), sessions.put('c', 3)]);
    expect(await servers[0].cli('KEYS', '*')).toEqual(['session:c']);
    expect((await servers[1].cli('KEYS', '*')) as string[]).toEqual(expect.arrayContaining(['trail:a', 'event:b']));
    expect(connection).not.toBe(other);
    expect(connection).toBe(app?.get(getRedisConnectionToken('audit')));
    expect(other).toBe(app?.get(RedisConnection));
    expect([connection.status, other.status]).toEqual(['ready', 'ready']);
    await Promise.all(servers.map((server) => server.cli('FLUSHALL')));
  });

  it('let forFeatureAsync put a store on a connection by its name', async () => {
    const store = RedisCacheModule.forFeatureAsync({
      name: 'code',
      connection: 'audit',
      useFactory: () => ({ namespace: 'code', ttl: '1m' }),
    });
    const module = await boot({ imports: [main(), RedisCacheModule.forRoot({ name: 'audit', ...auditOf() }), store] });
    await module.get<RedisCacheStore>(getCacheStoreToken('code')).put('a', 1);
    expect(await servers[1].cli('KEYS', '*')).toEqual(['code:a']);
    await servers[1].cli('FLUSHALL');
  });

  it('can do without a default connection', async () => {
    await boot({ imports: [RedisCacheModule.forRoot({ name: 'audit', ...auditOf() })] });
    expect(app?.get<RedisCacheStore>(getCacheStoreToken('audit')).namespace).toBe('trail');
    expect(() => app?.get(RedisCacheStore)).toThrow();
  });

  it('are told apart in the log and by the health check', async () => {
    const own = await RedisServer.start();
    const module = await boot({
      imports: [
        TerminusModule.forRoot({ logger: false }),
        main(),
        RedisCacheModule.forRoot({ name: 'audit', ...audit, url: own.url }),
      ],
      providers: [RedisCacheHealthIndicator],
    });
    const health = module.get(RedisCacheHealthIndicator);
    expect(lines).toEqual(expect.arrayContaining(['Redis is ready', 'connection "audit": Redis is ready']));
    expect(await health.check('main')).toEqual({ main: { status: 'up', connection: 'ready' } });
    const up = { status: 'up', name: 'audit', connection: 'ready' };
    expect(await health.check('second', { connection: 'audit' })).toEqual({ second: up });

    await own.stop();
    const { second } = await eventually(async () => {
      const report = await health.check('second', { connection: 'audit' });
      expect(report.second.status).toBe('down');
      return report;
    });
    expect(second).toMatchObject({ name: 'audit', message: expect.any(String) });
    expect((await health.check('main')).main.status).toBe('up');
    await eventually(() => {
      expect(lines.filter((line) => line.includes('is down'))).toEqual([
        expect.stringMatching(/^connection "audit": Redis is down: /),
      ]);
    });
    await expect(health.check('none', { connection: 'nobody' })).rejects.toMatchObject({ code: 'CACHE_CONFIG' });
  });

  const failures: [string, () => ModuleMetadata['imports'] & object, object][] = [
    [
      'a name that is given twice',
      () => [named, named].map(([first]) => first?.[1]() ?? []).flat(),
      { option: 'name', connection: 'audit', message: expect.stringContaining('more than one forRoot') },
    ],
    [
      'a connection that there is not',
      () => [main(), RedisCacheModule.forFeature({ namespace: 'x', connection: 'audti', ttl: '1h' })],
      {
        option: 'connection',
        message: expect.stringMatching(/no connection "audti", only the default one: .*forRoot\(\{ name: 'audti'/),
      },
    ],
    [
      'a store on the default connection, where there is none',
      () => [
        RedisCacheModule.forRoot({ name: 'audit', ...auditOf() }),
        RedisCacheModule.forFeature({ namespace: 'x' }),
      ],
      { option: 'connection', message: expect.stringMatching(/no default connection, only "audit"/) },
    ],
    [
      'an empty name',
      () => [RedisCacheModule.forRoot({ name: '' })],
      { option: 'name', message: expect.stringContaining('non-empty') },
    ],
    [
      'a name that the factory gives',
      () => [RedisCacheModule.forRootAsync({ useFactory: () => ({ ...auditOf(), name: 'audit' }) })],
      { option: 'name', message: expect.stringContaining('beside "useFactory"') },
    ],
    [
      'a connection that the factory of a store gives',
      () => [
        main(),
        RedisCacheModule.forFeatureAsync({
          name: 'x',
          useFactory: () => ({ namespace: 'x', connection: 'audit' }),
        }),
      ],
      { option: 'connection', store: 'x', message: expect.stringContaining('beside "useFactory"') },
    ],
    [
      'a wrong option of a further connection',
      () => [main(), RedisCacheModule.forRoot({ name: 'audit', url: 'nonsense' }), events],
      { option: 'url', connection: 'audit', message: expect.stringContaining('of the connection "audit"') },
    ],
    [
      'a wrong option of one of several stores',
      () => [
        main(),
        RedisCacheModule.forFeature({ namespace: 'a', ttl: '1h' }, { namespace: 'b', name: 'bee', ttl: 0 }),
      ],
      { option: 'ttl', store: 'bee', message: expect.stringContaining('option "ttl" of the store "bee"') },
    ],
    [
      'a wrong option of forRoot that a store has taken over',
      () => [
        RedisCacheModule.forRoot({ ...auditOf(), hashKeys: true, encryption: { keys: ['short'] } }),
        RedisCacheModule.forFeature({ namespace: 'a', ttl: '1h' }),
      ],
      { message: expect.stringMatching(/^option "encryption[^"]*": /) },
    ],
  ];

  const featureOf = (options: CacheStoreOptions): DynamicModule => {
    @Module({ imports: [RedisCacheModule.forFeature(options)] })
    class Feature {}
    return { module: Feature };
  };
  const ambiguous: [string, string, () => ModuleMetadata['imports'] & object][] = [
    [
      'a store and a connection',
      '"connection", "namespace"',
      () => [
        RedisCacheModule.forRoot({ name: 'audit', ...auditOf() }),
        main(),
        featureOf({ namespace: 'audit', ttl: '1h' }),
      ],
    ],
    [
      'two stores',
      '"namespace"',
      () => [
        main(),
        featureOf({ namespace: 'a', name: 'audit', ttl: '1h' }),
        featureOf({ namespace: 'audit', ttl: '1h' }),
      ],
    ],
    [
      'two stores of one namespace with other options',
      '"ttl", "sliding"',
      () => [
        main(),
        featureOf({ namespace: 'audit', ttl: '1h' }),
        featureOf({ namespace: 'audit', ttl: '2h', sliding: true }),
      ],
    ],
  ];
  it.each(ambiguous)(
    'fail the boot for %s under one name, of which a guard would get either',
    async (_, how, imports) => {
      await expect(boot({ imports: imports() })).rejects.toMatchObject({
        option: 'name',
        code: 'CACHE_CONFIG',
        problem: expect.stringContaining(`the token "RedisCacheStore:audit", and differ in ${how}:`),
      });
    },
  );

  it('may have stores under one name that are the same', async () => {
    const imports = [
      main(),
      featureOf({ namespace: 'a', ttl: '1h' }),
      featureOf({ namespace: 'a', name: 'a', ttl: 3_600_000 }),
    ];
    const module = await boot({ imports });
    expect(module.get<RedisCacheStore>(getCacheStoreToken('a'), { strict: false }).namespace).toBe('a');
  });

  it.each(failures)('fail the boot with a CacheConfigError for %s', async (_, imports, expected) => {
    await expect(boot({ imports: imports() })).rejects.toMatchObject({ code: 'CACHE_CONFIG', ...expected });
  });

  it('fail the boot with the reason, also if a module that knows neither of them needs the broken one', async () => {
    @Module({
      imports: [events],
      providers: [{ provide: 'x', inject: [getCacheStoreToken('event')], useFactory: String }],
    })
    class Feature {}
    const broken = RedisCacheModule.forRootAsync({
      name: 'audit',
      useFactory: () => Promise.reject(new Error('no settings')),
    });
    await expect(boot({ imports: [Feature, main(), broken] })).rejects.toThrow('no settings');
  });
});
