import { inspect } from 'node:util';
import {
  CacheConfigError,
  CacheUnavailableError,
  type RedisCacheModuleOptions,
  RedisConnection,
  RedisCacheStore,
  RedisCacheModule,
} from 'nestjs-redis-cache-store';
import { Test } from '@nestjs/testing';
import { freePort } from '../../scripts/processes.mjs';
import { CacheApp } from '../support/cache-app.js';
import { reasonOf } from '../support/reason-of.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';

const SECRET = 'pa/ss w%rd';
const SHOWN = /pa\/ss|pa%2Fss|w%rd|w%25rd/i;

describe('a boot that Redis refuses', () => {
  let guarded: RedisServer;
  let open: RedisServer;
  const logged: string[] = [];
  const log = (message: unknown) => logged.push(inspect(message));
  const logger = { log, warn: log, error: log };

  const { warn } = console;

  beforeAll(async () => {
    console.warn = () => undefined; // ioredis complains about a password that is not needed
    [guarded, open] = await Promise.all([RedisServer.start({ password: 'right' }), RedisServer.start()]);
    await guarded.cli('ACL', 'SETUSER', 'app', 'on', '>right', '~*', '+@all');
    await guarded.cli('ACL', 'SETUSER', 'nodb', 'on', `>${SECRET}`, '~*', '+@all', '-select');
    await guarded.cli('ACL', 'SETUSER', 'idle', 'on', `>${SECRET}`, '~*', '-@all');
    await guarded.cli('ACL', 'SETUSER', 'off', 'off', `>${SECRET}`, '~*', '+@all');
  });
  beforeEach(() => logged.splice(0));
  afterAll(async () => {
    console.warn = warn;
    await Promise.all([guarded?.stop(), open?.stop()]);
  });

  const connectionsOf = async (server: RedisServer) =>
    Number(/total_connections_received:(\d+)/.exec(String(await server.cli('INFO', 'stats')))?.[1]);

  const at = (server: RedisServer, login = '', path = '') => `redis://${login}127.0.0.1:${server.port}${path}`;
  const pw = encodeURIComponent(SECRET);

  const refused: [string, string, () => [RedisServer, RedisCacheModuleOptions]][] = [
    ['a wrong password', 'WRONGPASS', () => [guarded, { url: at(guarded, `:${pw}@`) }]],
    ['no password where one is needed', 'NOAUTH', () => [guarded, { url: at(guarded) }]],
    ['a wrong password of a user', 'WRONGPASS', () => [guarded, { url: at(guarded, `app:${pw}@`) }]],
    ['an unknown user', 'WRONGPASS', () => [guarded, { url: at(guarded, `nobody:${pw}@`) }]],
    ['a user who is switched off', 'WRONGPASS', () => [guarded, { url: at(guarded, `off:${pw}@`) }]],
    ['a password where none is set', 'login', () => [open, { url: at(open, `:${pw}@`) }]],
    [
      'a wrong password among the options',
      'WRONGPASS',
      () => [guarded, { url: at(guarded), redis: { password: SECRET } }],
    ],
    ['a database that is not there', 'database', () => [open, { url: at(open, '', '/99') }]],
    ['such a database among the options', 'database', () => [open, { url: at(open), redis: { db: 99 } }]],
    ['a database that the user may not select', 'database', () => [guarded, { url: at(guarded, `nodb:${pw}@`, '/1') }]],
    [
      'the password of the master at a sentinel that wants one of its own',
      'sentinelPassword',
      () => [guarded, { url: at(guarded, ':right@', '/main').replace('redis:', 'redis-sentinel:') }],
    ],
    [
      'a wrong password at a sentinel',
      'sentinelPassword',
      () => [
        guarded,
        { url: at(guarded, '', '/main').replace('redis:', 'redis-sentinel:'), redis: { sentinelPassword: SECRET } },
      ],
    ],
    [
      'a user who may do nothing that a connection needs',
      "'ping'",
      () => [guarded, { url: at(guarded, `idle:${pw}@`) }],
    ],
    [
      'sentinels that are none',
      'no sentinel',
      () => [open, { url: at(open, '', '/main').replace('redis:', 'redis-sentinel:') }],
    ],
    ['a Cluster that is none', 'cluster', () => [open, { url: at(open).replace('redis:', 'redis-cluster:') }]],
  ];

  it.each(refused)('for %s fails at once with CacheConfigError, and is not tried again', async (_, problem, given) => {
    const [server, options] = given();
    const begun = performance.now();
    const error = await CacheApp.failure({ startupTimeout: '60s', ...options });
    expect(error).toBeInstanceOf(CacheConfigError);
    expect(error).toMatchObject({ code: 'CACHE_CONFIG', message: expect.stringContaining(problem) });
    expect((error as CacheConfigError).option).toMatch(/^(url|redis)/);
    expect(performance.now() - begun).toBeLessThan(30_000);
    const afterwards = await connectionsOf(server);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await connectionsOf(server)).toBe(afterwards);
    expect(inspect(error, { depth: null, showHidden: true })).not.toMatch(SHOWN);
  });

  it.each(refused)(
    'for %s in the background shows in status, lastError and calls, and is tried again',
    async (_, problem, given) => {
      const [server, options] = given();
      const module = await Test.createTestingModule({
        imports: [RedisCacheModule.forRoot({ ...options, startup: 'background', timeout: '10s' })],
      })
        .setLogger(logger)
        .compile();
      try {
        await module.init();
        const begun = performance.now();
        const connection = module.get(RedisConnection);
        const error = await reasonOf(module.get(RedisCacheStore).get('key'));
        expect(error).toBeInstanceOf(CacheUnavailableError);
        expect(error).toMatchObject({
          reason: 'disconnected',
          outcome: 'not-sent',
          cause: expect.any(CacheConfigError),
        });
        expect(performance.now() - begun).toBeLessThan(9000); // there is nothing to wait for
        expect(connection.status).toBe('down');
        expect(connection.lastError).toBeInstanceOf(CacheConfigError);
        expect(connection.lastError?.message).toContain(problem);
        const afterwards = await connectionsOf(server);
        await eventually(async () => expect(await connectionsOf(server)).toBeGreaterThan(afterwards + 1)); // again and again
        expect(inspect([error, connection.lastError], { depth: null, showHidden: true })).not.toMatch(SHOWN);
        expect(logged.join('\n')).toContain('Redis is down');
        expect(logged.join('\n')).not.toMatch(SHOWN);
      } finally {
        await module.close();
      }
    },
  );

  it('in the background ends as soon as Redis lets us in', async () => {
    const server = await RedisServer.start();
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>other', '~*', '&*', '+@all');
    const app = await CacheApp.start({ url: at(server, 'app:later@'), startup: 'background', startupTimeout: '60s' });
    try {
      await eventually(() => expect(app.connection.status).toBe('down'));
      await server.cli('ACL', 'SETUSER', 'app', '>later');
      await eventually(() => app.store.put('key', 1));
    } finally {
      await app.close();
      await server.stop();
    }
  });

  it('in the background is told when it follows an absence, once', async () => {
    const port = await freePort();
    const url = `redis://:wrong@127.0.0.1:${port}`;
    const imports = [RedisCacheModule.forRoot({ url, startup: 'background', startupTimeout: 100, ttl: null })];
    const module = await Test.createTestingModule({ imports }).setLogger(logger).compile();
    await module.init();
    await eventually(() => expect(logged.join()).toContain('Redis is down'));
    const server = await RedisServer.start({ port, password: 'right' });
    try {
      const refusals = () => logged.filter((line) => line.includes('WRONGPASS'));
      await eventually(() => expect(refusals()).toHaveLength(1));
      const afterwards = await connectionsOf(server);
      await eventually(async () => expect(await connectionsOf(server)).toBeGreaterThan(afterwards + 1));
      expect(refusals()).toHaveLength(1);
    } finally {
      await module.close();
      await server.stop();
    }
  });

  it('never falls back to another database', async () => {
    await CacheApp.failure({ url: at(open, '', '/99') });
    const app = await CacheApp.start({ url: at(open, '', '/15') });
    try {
      await app.store.put('key', 1);
      expect(String(await open.cli('INFO', 'keyspace'))).toMatch(/db15:keys=1/);
      expect(await open.cli('DBSIZE')).toBe(0);
    } finally {
      await app.close();
    }
  });

  it('is none for the right login, in the url or among the options, and for credentials asked for', async () => {
    const url = at(guarded);
    const logins: RedisCacheModuleOptions[] = [
      { url: at(guarded, ':right@') },
      { url: at(guarded, 'app:right@', '/3') },
      { url, redis: { username: 'app', password: 'right' } },
      { url, credentials: () => Promise.resolve({ username: 'app', password: 'right' }) },
      {
        url: at(guarded, 'nobody:old@'),
        redis: { username: 'app', password: 'old' },
        credentials: () => ({ password: 'right' }),
      },
    ];
    for (const options of logins) {
      expect(await CacheApp.failure(options)).toBeUndefined();
    }
  });
});
