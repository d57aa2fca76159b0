import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { CacheConfigError } from 'nestjs-redis-cache-store';
import type { RedisAddress } from '../../lib/connection/address.js';
import { parseRedisUrl } from '../../lib/redis-url.js';

const standalone = (host: string, port: number, more: Partial<RedisAddress> = {}): RedisAddress => ({
  kind: 'standalone',
  endpoints: [{ host, port }],
  tls: false,
  db: 0,
  ...more,
});

const readable: [string, RedisAddress][] = [
  ['redis://localhost', standalone('localhost', 6379)],
  ['redis://', standalone('localhost', 6379)],
  ['redis://cache.example.com:7000', standalone('cache.example.com', 7000)],
  ['redis://localhost:6379/', standalone('localhost', 6379)],
  ['redis://localhost/15', standalone('localhost', 6379, { db: 15 })],
  ['redis://localhost?db=3', standalone('localhost', 6379, { db: 3 })],
  ['redis://localhost/?family=6', standalone('localhost', 6379, { family: 6 })],
  ['redis://[::1]:7000/2', standalone('::1', 7000, { db: 2 })],
  ['redis://:pass@localhost', standalone('localhost', 6379, { password: 'pass' })],
  ['redis://user:pass@localhost', standalone('localhost', 6379, { username: 'user', password: 'pass' })],
  ['redis://user@localhost', standalone('localhost', 6379, { username: 'user' })],
  ['redis://:p%40ss%3A%2F%25@localhost', standalone('localhost', 6379, { password: 'p@ss:/%' })],
  ['redis://:p@ss@localhost', standalone('localhost', 6379, { password: 'p@ss' })],
  ['redis://h:a:b@localhost', standalone('localhost', 6379, { username: 'h', password: 'a:b' })],
  ['rediss://localhost', standalone('localhost', 6379, { tls: true })],
  ['REDIS://localhost', standalone('localhost', 6379)],
  ['valkey://localhost:7000', standalone('localhost', 7000)],
  ['valkeys://localhost', standalone('localhost', 6379, { tls: true })],
  [
    'unix:///run/redis/redis.sock',
    { kind: 'standalone', endpoints: [], tls: false, db: 0, path: '/run/redis/redis.sock' },
  ],
  [
    'unix://:pw@/run/a%20b.sock?db=2',
    { kind: 'standalone', endpoints: [], tls: false, db: 2, path: '/run/a b.sock', password: 'pw' },
  ],
  [
    'redis-sentinel://:pw@h1:26379,h2/main/4',
    {
      kind: 'sentinel',
      endpoints: [
        { host: 'h1', port: 26379 },
        { host: 'h2', port: 26379 },
      ],
      tls: false,
      db: 4,
      masterName: 'main',
      password: 'pw',
    },
  ],
  [
    'rediss-sentinel://h1/main',
    { kind: 'sentinel', endpoints: [{ host: 'h1', port: 26379 }], tls: true, db: 0, masterName: 'main' },
  ],
  [
    'redis-cluster://h1:7000,[::1]:7001/0',
    {
      kind: 'cluster',
      endpoints: [
        { host: 'h1', port: 7000 },
        { host: '::1', port: 7001 },
      ],
      tls: false,
      db: 0,
    },
  ],
  ['rediss-cluster://h1', { kind: 'cluster', endpoints: [{ host: 'h1', port: 6379 }], tls: true, db: 0 }],
  ['memory:', { kind: 'memory', endpoints: [], tls: false, db: 0 }],
  ['memory://', { kind: 'memory', endpoints: [], tls: false, db: 0 }],
];

// What ioredis guesses at, or would connect somewhere else with.
const unreadable = [
  '',
  'localhost',
  'localhost:6379',
  '//localhost',
  'http://localhost',
  'https://localhost:6379',
  'redis:localhost',
  'redis:/localhost',
  'redis//localhost',
  ' redis://localhost',
  'redisss-sentinel://h/m',
  'memory://x',
  'constructor://localhost',
  '__proto__://localhost',
  'redis://localhost:',
  'redis://localhost:0',
  'redis://localhost:65536',
  'redis://localhost:port',
  'redis://local host',
  'redis://::1:6379',
  'redis://[::1:6379',
  'redis://h1,h2',
  'redis://localhost/notanumber',
  'redis://localhost/-1',
  'redis://localhost/1.5',
  'redis://localhost/1e3',
  'redis://localhost/0x1',
  'redis://localhost/%31',
  'redis://localhost/0/1',
  'redis://localhost?db=x',
  'redis://localhost?family=5',
  'redis://localhost?tls=false',
  'redis://localhost#1',
  'redis://:%zz@localhost',
  'unix://',
  'unix://path',
  'unix:///',
  'redis-sentinel://h1',
  'redis-sentinel://h1/',
  'redis-sentinel://h1/main/x',
  'redis-sentinel://h1/main/1/2',
  'redis-cluster://h1/1',
  'redis-cluster://h1?db=1',
  'redis://localhost?db=1&db=2',
  'redis://localhost?family=4&family=6',
  'redis-cluster://h1,',
  'redis-sentinel://,h1/main',
  'redis-cluster://h1/0/1',
];

describe('the url', () => {
  it.each(['#', '/', '?'])('with a bare %s in its password tells to encode it', (sign) => {
    expect(() => parseRedisUrl(`redis://:p${sign}w@localhost:6379/0`)).toThrow(/encodeURIComponent/);
    expect(parseRedisUrl(`redis://:${encodeURIComponent(`p${sign}w`)}@h`)).toMatchObject({ password: `p${sign}w` });
    expect(parseRedisUrl('unix:///run/redis@1.sock')).toMatchObject({ path: '/run/redis@1.sock' });
  });

  it.each(readable)('%s says where Redis is', (url, address) => {
    expect(parseRedisUrl(url)).toEqual(address);
  });

  it.each(['redis://h/2?db=5', 'redis-sentinel://h/main/2?db=5', 'redis-cluster://h/0?db=5'])(
    '%s, which says two databases, is refused by both',
    (url) => {
      expect(() => parseRedisUrl(url)).toThrow(/database [02] in its path, and "\?db=5"/);
      expect(parseRedisUrl('redis://h/2?db=2')).toMatchObject({ db: 2 });
    },
  );

  it.each(unreadable.map((url) => [url]))('%j is refused, with the option named', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(CacheConfigError);
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ option: 'url', code: 'CACHE_CONFIG' }));
  });

  it('gives every user name, password, host, port and database back as it was written', () => {
    const text = fc.string({ unit: 'binary', minLength: 1 }).filter((each) => each.isWellFormed());
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
    const parts = fc.record({
      username: text,
      password: text,
      host,
      port: fc.integer({ min: 1, max: 65_535 }),
      db: fc.nat(),
    });
    fc.assert(
      fc.property(parts, fc.constantFrom('redis', 'rediss', 'valkey', 'valkeys'), (given, scheme) => {
        const { username, password, port, db } = given;
        const login = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
        const where = given.host.includes(':') ? `[${given.host}]` : given.host;
        const address = parseRedisUrl(`${scheme}://${login}@${where}:${port}/${db % 1e9}`);
        const tls = scheme.endsWith('s') && scheme !== 'redis';
        expect(address).toEqual(standalone(given.host, port, { username, password, db: db % 1e9, tls }));
      }),
    );
  });

  it('is read or refused, whatever the text, and never shown in the error: it may hold a password', () => {
    const pieces = fc.constantFrom(
      'redis',
      'unix',
      '://',
      ':',
      '/',
      '@',
      '?',
      '#',
      '%',
      ',',
      '[',
      ']',
      'db=',
      'secret',
    );
    const text = fc.array(fc.oneof(pieces, fc.string()), { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (given) => {
        const error = refusalOf(`redis://:secret${given}`);
        expect(error === undefined || error instanceof CacheConfigError).toBe(true);
        expect(inspect(error, { depth: null, showHidden: true })).not.toContain('secret');
      }),
      { numRuns: 500 },
    );
  });
});

function refusalOf(url: string): unknown {
  try {
    parseRedisUrl(url);
    return undefined;
  } catch (error) {
    return error;
  }
}
