import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { DynamicModule } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import {
  CacheConfigError,
  type IoredisClient,
  type CacheStoreOptions,
  jsonSerializer,
  RedisCacheModule,
  type RedisCacheModuleOptions,
} from 'nestjs-redis-cache-store';
import { RedisCacheTestingModule } from 'nestjs-redis-cache-store/testing';
import { resolveConnection } from '../../lib/resolve-options.js';
import { CacheApp, SILENT } from '../support/cache-app.js';

/** As JavaScript, environment variables and casts may give them. */
type Loose<T> = { [K in keyof T]?: unknown } & Record<string, unknown>;

const NOT_A_DURATION = [0, -1, Number.NaN, Infinity, '', 'soon', '0', '3600', '-5m', null, true, {}];
const NOT_A_NAMESPACE = ['', 'a:b', 'a#b', 'a b', 'ä', '*', 'x'.repeat(65), 'a\n', 5, null, {}];

const badForAll: [option: string, values: unknown[]][] = [
  ['ttl', NOT_A_DURATION.filter((value) => value !== null)], // null: never expires
  ['maxAge', NOT_A_DURATION],
  ['sliding', ['yes', 1, null]],
  ['onCorrupt', ['ignore', null, true]],
  ['serializer', [null, 'json', JSON, { serialize: JSON.stringify }, () => undefined]],
  [
    'serializer',
    [
      { ...jsonSerializer, serialize: async () => Buffer.alloc(1) },
      { ...jsonSerializer, deserialize: async () => 1 },
    ],
  ],
  ['schema', [null, {}, 'object', { '~standard': {} }]],
  ['encryption', [null, true, 'key']],
  ['hashKeys', [null, 'yes', true]],
  ['nearCache', [null, 'on', 5]],
  ['namespace', NOT_A_NAMESPACE],
];
const badForRoot: [option: string, values: unknown[]][] = [
  ['timeout', [...NOT_A_DURATION, '11m']],
  ['startupTimeout', [...NOT_A_DURATION, '61m']],
  ['startup', ['later', null, true]],
  ['url', ['', 'localhost', 'http://localhost', 'redis://localhost/x', 5, null, new URL('redis://localhost')]],
  ['redis', [null, 'tls', 5]],
  ['client', [null, {}, 'redis', { sendCommand: 1 }]],
  ['credentials', [null, {}, 'user']],
  ['maxBytes', [0, -1, 1.5, Number.NaN, Infinity, '1mb', 2 ** 29 + 1, null]],
];
const misspelt = ['tll', 'URL', 'nameSpace', 'host', 'isGlobal ', 'toString', '__proto__'];

const cases = (table: [string, unknown[]][]): [string, unknown][] =>
  table.flatMap(([option, values]) => values.map((value): [string, unknown] => [option, value]));

const sendCommand = (): unknown => undefined;

describe('a wrong option', () => {
  let nobody: Server;
  let url: string;
  let connections = 0;

  beforeAll(async () => {
    nobody = createServer(() => connections++);
    nobody.listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    url = `redis://127.0.0.1:${(nobody.address() as AddressInfo).port}`;
  });
  afterAll(() => nobody.close());
  afterEach(() => expect(connections).toBe(0)); // nobody is asked

  const forRoot = (options: Loose<RedisCacheModuleOptions>) =>
    RedisCacheModule.forRoot({ url, ...options } as RedisCacheModuleOptions);
  const forFeature = (options: Loose<CacheStoreOptions>) =>
    RedisCacheModule.forFeature({ namespace: 'feature', ...options } as CacheStoreOptions);

  async function expectRefused(option: string, ...imports: DynamicModule[]): Promise<CacheConfigError> {
    const boot = Test.createTestingModule({ imports }).setLogger(SILENT).compile();
    const error: unknown = await boot.then(
      (module) => module.close(),
      (reason: unknown) => reason,
    );
    if (!(error instanceof CacheConfigError)) throw new Error('the boot did not fail with a CacheConfigError');
    expect(error).toMatchObject({ option, message: expect.stringContaining(`option "${option}"`) });
    return error;
  }

  it.each(cases([...badForAll, ...badForRoot]))('of forRoot fails the boot: %s = %p', async (option, value) => {
    await expectRefused(option, forRoot({ [option]: value }));
  });

  it.each(cases([...badForAll, ['namespace', [undefined]], ['name', ['', 5, null]]]))(
    'of forFeature fails the boot: %s = %p',
    async (option, value) => {
      await expectRefused(option, forRoot({}), forFeature({ [option]: value }));
    },
  );

  it.each(cases([...badForAll, ['namespace', [undefined]]]))(
    'of forFeatureAsync fails the boot: %s = %p',
    async (option, value) => {
      const useFactory = () => ({ namespace: 'feature', [option]: value }) as CacheStoreOptions;
      await expectRefused(option, forRoot({}), RedisCacheModule.forFeatureAsync({ name: 'feature', useFactory }));
    },
  );

  it.each(cases(badForRoot))('of forRootAsync fails the boot: %s = %p', async (option, value) => {
    const useFactory = () => Promise.resolve({ url, [option]: value } as RedisCacheModuleOptions);
    await expectRefused(option, RedisCacheModule.forRootAsync({ useFactory }));
  });

  it('is one that does not exist, inside of another', async () => {
    await expectRefused('nearCache.leas', forRoot({ nearCache: { leas: '1s' } }));
    const encryption = { keys: ['0'.repeat(64)], hashkey: '1'.repeat(64) };
    await expectRefused('encryption', forRoot({ encryption }));
    await expectRefused('encryption', forRoot({ encryption: () => encryption }));
  });

  it.each(misspelt)('is one that does not exist: %j, which would silently mean its default', async (option) => {
    const options = Object.fromEntries([[option, '30m']]);
    // `__proto__` as a property of its own, which a spread would turn into the prototype.
    await expectRefused(option, RedisCacheModule.forRoot(Object.assign(Object.fromEntries([[option, 1]]), { url })));
    await expectRefused(option, forRoot({}), RedisCacheModule.forFeature({ namespace: 'feature', ...options }));
  });

  it('is one that a class has a getter for, which copies of the options would be without', async () => {
    class Settings {
      url = 'memory:';
      get ttl() {
        return '30m';
      }
    }
    class StoreSettings {
      namespace = 'feature';
      get ttl() {
        return '30m';
      }
    }
    const root = RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' });
    const useFactory = () => new StoreSettings();
    await expectRefused('ttl', RedisCacheModule.forRootAsync({ useFactory: () => new Settings() }));
    await expectRefused('ttl', RedisCacheModule.forRoot(new Settings()));
    await expectRefused('ttl', RedisCacheModule.forRoot(new Settings()), { module: RedisCacheTestingModule });
    await expectRefused('ttl', root, RedisCacheModule.forFeature(new StoreSettings()));
    const late = RedisCacheModule.forFeatureAsync({ name: 'feature', useFactory });
    expect(await expectRefused('ttl', root, late)).toMatchObject({ store: 'feature' });
  });

  it('is a url that is given but undefined or empty, as a variable is that nobody set', async () => {
    for (const given of [undefined, '']) {
      const options = { url: given } as RedisCacheModuleOptions;
      const roots = [RedisCacheModule.forRoot(options), RedisCacheModule.forRootAsync({ useFactory: () => options })];
      for (const root of roots) {
        const { problem } = await expectRefused('url', root);
        expect(problem).toMatch(/is given but (undefined|empty): is the environment variable set\?/);
      }
    }
  });

  it('is a duration without a unit, and the error shows the text with one', async () => {
    const { message } = await expectRefused('ttl', forRoot({ ttl: '3600' }));
    expect(message).toContain("'3600s' for seconds, '3600ms' for milliseconds");
    await expectRefused('nearCache.lease', forRoot({ nearCache: { lease: '2000' } }));
  });

  it('is one of forRoot given to forFeature', async () => {
    await expectRefused('timeout', forRoot({}), forFeature({ timeout: 5 }));
  });

  it.each([[null], ['redis://localhost'], [5]])('is no options at all: %p', async (options) => {
    const useFactory = () => options as RedisCacheModuleOptions;
    await expectRefused('options', RedisCacheModule.forRootAsync({ useFactory }));
  });

  it('is a combination that makes no sense', async () => {
    await expectRefused('sliding', forRoot({ sliding: true }));
    const client = new Redis({ lazyConnect: true });
    await expectRefused('client', forRoot({ client }));
    await expectRefused('client', RedisCacheModule.forRoot({ client, redis: { db: 1 } }));
  });

  it.each([
    ['keyPrefix', 'x', 'use the "namespace" option instead'],
    ['Connector', Object, 'the url says where Redis is'],
    ['host', 'localhost', 'the url says where Redis is'],
    ['readOnly', true, 'it changes what replies mean'],
    ['stringNumbers', true, 'it changes what replies mean'],
    ['replyMapping', 'resp3', 'it changes what replies mean'],
    ['scaleReads', 'slave', 'it changes what replies mean'],
    ['retryStrategy', () => 5, 'this package decides'],
    ['lazyConnect', true, 'this package decides'],
    ['enableTLSForSentinelMode', true, '"sentinelTLS" to the sentinels'],
    ['paswword', 'x', 'is unknown; the options are username, password'],
    ['db', NaN, 'must be a whole number from 0'],
    ['db', -1, 'must be a whole number from 0'],
    ['db', '1', 'must be a whole number from 0'],
    ['db', 2 ** 31, 'must be a whole number from 0'],
    ['connectionName', 'my app', 'must be ASCII without spaces'],
    ['tls', true, 'must be an object'],
    ['family', 5, 'must be 4, 6 or 0'],
    ['natMap', 'x', 'must be an object such as'],
    ['natMap', { '10.0.0.1:6379': 'localhost:7000' }, 'must be an object such as'],
    ['connectTimeout', 0, 'must be a number of ms from 1'],
  ])('is the ioredis option %s: %p, and the error gives the reason', async (name, value, reason) => {
    const { message } = await expectRefused('redis', forRoot({ redis: { [name]: value } }));
    expect(message).toContain(`"${name}"`);
    expect(message).toContain(reason);
  });

  it.each([
    ['sentinelUsername', 'watcher', 'redis-cluster://localhost', 'redis-sentinel://'],
    ['sentinelPassword', 'secret', 'redis://localhost', 'redis-sentinel://'],
    ['sentinelTLS', {}, 'rediss-cluster://localhost', 'redis-sentinel://'],
    ['natMap', {}, 'unix:///tmp/redis.sock', 'redis-sentinel:// and redis-cluster://'],
  ])('is the option %s: %p for %s, where it has no effect', async (name, value, address, urls) => {
    const { message } = await expectRefused(
      'redis',
      RedisCacheModule.forRoot({ url: address, redis: { [name]: value } }),
    );
    expect(message).toContain(`"${name}" has no effect with this url: remove it (it is for ${urls})`);
    expect(message).not.toContain('secret');
    const fine = [
      { redis: { [name]: undefined }, url: address },
      { redis: { [name]: value }, url: 'memory:' },
    ];
    for (const options of fine) expect(() => resolveConnection(options, () => undefined)).not.toThrow();
  });

  it('is a database other than 0 on a Cluster', async () => {
    await expectRefused('redis.db', RedisCacheModule.forRoot({ url: 'redis-cluster://localhost', redis: { db: 1 } }));
  });

  it.each(['keyPrefix', 'readOnly', 'Connector'])('is the %s of a client that was brought along', async (name) => {
    const client = {
      isCluster: false,
      status: 'wait',
      options: { [name]: 'x' },
      connector: {},
      sendCommand,
    };
    await expectRefused('client', RedisCacheModule.forRoot({ client }));
  });

  it.each([
    ['a mock', { isCluster: false, status: 'ready', options: {}, sendCommand }],
    [
      'a client of node-redis',
      { isCluster: false, status: 'ready', options: { url: 'redis://localhost' }, sendCommand },
    ],
    ['a url', 'redis://localhost'],
    ['null', null],
  ])('is %s for a client', async (_, client) => {
    await expectRefused('client', RedisCacheModule.forRoot({ client: client as IoredisClient }));
  });

  it('is a sentinel that is named twice, which would vote twice', async () => {
    const twice = (host: string) => RedisCacheModule.forRoot({ url: `redis-sentinel://h1,${host},h3/main` });
    expect((await expectRefused('url', twice('H1:26379'))).problem).toContain('names a sentinel twice');
    const sentinels = [{ host: 'h1', port: 1 }, { host: 'h2' }, { host: 'h1', port: 1 }];
    const client = new Redis({ sentinels, name: 'main', lazyConnect: true });
    expect((await expectRefused('client', RedisCacheModule.forRoot({ client }))).problem).toContain('twice');
  });

  it('is a heartbeat that would keep a server busy', async () => {
    await expectRefused('heartbeat', forRoot({ heartbeat: 99 }));
    await expectRefused('heartbeat', forRoot({ heartbeat: '2h' }));
  });
});

describe('options', () => {
  it('may all be left out but the url, and those of forRoot are taken over by forFeature', async () => {
    const app = await CacheApp.start({ url: 'memory:', maxBytes: 100 }, { namespace: 'feature' });
    try {
      expect(app.store.namespace).toBe('cache');
      await expect(app.storeOf('feature').put('key', 'x'.repeat(200))).rejects.toThrow('maxBytes');
      await app.store.put('key', 1);
      expect(await app.store.ttl('key')).toBeNull();
    } finally {
      await app.close();
    }
  });

  it.each(['a', 'A-Z.a_z-0.9', 'x'.repeat(64), '.', '__proto__'])('may have the namespace %j', async (namespace) => {
    const app = await CacheApp.start({ url: 'memory:', namespace }, { namespace, name: 'again' });
    try {
      await app.store.put('key', 1);
      expect(await app.storeOf('again').get('key')).toBe(1);
    } finally {
      await app.close();
    }
  });
});
