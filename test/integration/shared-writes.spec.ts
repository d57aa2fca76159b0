import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheCommandError } from 'nestjs-redis-cache-store';
import { now } from '../../lib/redis-cache.timers.js';
import { openOnServer } from '../contract/open-backend.js';
import { CacheApp } from '../support/cache-app.js';
import { commandsDuring } from '../support/command-stats.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';

const HOUR = 3_600_000;
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `key ${i}`);
const settled = (calls: readonly Promise<unknown>[]) => Promise.allSettled(calls);

describe('puts of one turn of the event loop', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;
  let store: RedisCacheStore;

  beforeAll(async () => (server = await RedisServer.start()));
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    await server.cli('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', '+@all', '~*', '&*');
    proxy = await TcpProxy.start(server);
    const url = proxy.url.replace('//', '//app:secret@');
    app = await CacheApp.start({ url, namespace: 'batch', ttl: '1h', timeout: 500 });
    ({ store } = app);
    await settled([store.put('a', 0), store.put('b', 0)]);
  });
  afterEach(async () => {
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    await app.close();
    await proxy.stop();
  });
  afterAll(() => server?.stop());

  /** One call, which has one deadline: of many calls on a busy machine some would lie too far apart to share a command. */
  const putAll = (keys: readonly string[], value: unknown = 1) => store.putMany(keys.map((key) => [key, value]));

  it('go out as one command for every 32 records', async () => {
    expect(await commandsDuring(server, () => putAll(numbered(70)))).toEqual({ eval: 3, set: 70 });
    expect(await store.getMany(numbered(70))).toEqual(numbered(70).map(() => 1));
  });

  it('go out as one command for every 64 KiB', async () => {
    const records = () => putAll(numbered(5), Buffer.alloc(30_000));
    expect(await commandsDuring(server, records)).toEqual({ eval: 2, set: 5 });
  });

  it('go out as a SET if there is one of them, or one that is larger than 64 KiB', async () => {
    expect(await commandsDuring(server, () => store.put('a', 1))).toEqual({ set: 1 });
    const large = () => putAll(['a', 'b'], Buffer.alloc(70_000));
    expect(await commandsDuring(server, large)).toEqual({ set: 2 });
  });

  it('each give their record its own ttl, end or none', async () => {
    const end = Date.now() + 2 * HOUR;
    await store.putMany([
      ['own', 1],
      ['short', 1, { ttl: '1m' }],
      ['fixed', 1, { expiresAt: end }],
      ['endless', 1, { ttl: null }],
    ]);
    const ttls = await Promise.all(['own', 'short', 'fixed', 'endless'].map((key) => store.ttl(key)));
    expect(ttls[3]).toBeNull();
    const near = [HOUR, 60_000, end - Date.now()].map((ms) => Math.abs(ms - Number(ttls.shift())));
    for (const off of near) expect(off).toBeLessThan(5_000);
  });

  it('of one key are written in their order', async () => {
    await settled(numbered(20).map((value) => store.put('a', value)));
    expect(await store.get('a')).toBe('key 19');
  });

  it('reject each by itself where Redis refuses one of them', async () => {
    await server.cli('ACL', 'SETUSER', 'app', 'resetkeys', '~batch:a*');
    const outcomes = await settled([store.put('a', 1), store.put('b', 1), store.put('a2', 1)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { name: 'CacheCommandError', reply: 'NOPERM' } });
    expect(await store.getMany(['a', 'a2'])).toEqual([1, 1]);
  });

  it('are written for a user who may run no scripts', async () => {
    await server.cli('ACL', 'SETUSER', 'app', '-evalsha', '-eval');
    await putAll(numbered(3));
    expect(await store.getMany(numbered(3))).toEqual([1, 1, 1]);
  });

  it('are not overtaken by those of the next turn where Redis has forgotten its scripts', async () => {
    await server.cli('SCRIPT', 'FLUSH');
    const calls = [putAll(['a', 'b'], 'first')];
    await nextTurn();
    await Promise.all([...calls, store.put('a', 'second')]);
    expect(await store.getMany(['a', 'b'])).toEqual(['second', 'first']);
  });

  it('reject all with the true reply where Redis has no memory left, and write nothing', async () => {
    await server.cli('CONFIG', 'SET', 'maxmemory', '1');
    for (const outcome of await settled([store.put('a', 1), store.put('b', 1)])) {
      expect(outcome).toMatchObject({ reason: { name: 'CacheCommandError', reply: 'OOM' } });
    }
    expect(await store.getMany(['a', 'b'])).toEqual([0, 0]);
  });

  it('are sent again together where a replica refuses them, until it is a master', async () => {
    const patient = await CacheApp.start({ url: server.url, namespace: 'batch', ttl: '1h', timeout: '20s' });
    await server.cli('REPLICAOF', '127.0.0.1', 1);
    try {
      const promoted = sleep(100).then(() => server.cli('REPLICAOF', 'NO', 'ONE'));
      const putBoth = () => patient.store.putMany(numbered(2).map((key) => [key, 1]));
      expect((await commandsDuring(server, putBoth)).eval).toBeGreaterThan(1);
      await promoted;
    } finally {
      await server.cli('REPLICAOF', 'NO', 'ONE');
      await patient.close();
    }
  });

  it('are all unknown where the reply was lost', async () => {
    const lost = proxy.dropReplies();
    const outcomes = await settled([store.put('a', 1), store.put('b', 1)]);
    await lost;
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { outcome: 'unknown' } });
    expect(await store.getMany(['a', 'b'])).toEqual([1, 1]);
  });

  it('are all unknown where no reply comes in time', async () => {
    server.freeze();
    try {
      for (const outcome of await settled([store.put('a', 1), store.put('b', 1)]))
        expect(outcome).toMatchObject({ reason: { outcome: 'unknown' } });
    } finally {
      server.thaw();
    }
  });
});

describe('writes of a backend', () => {
  const bytes = Buffer.from('record');
  let opened: Awaited<ReturnType<typeof openOnServer>>;
  beforeAll(async () => (opened = await openOnServer()));
  beforeEach(() => opened.redis('', 'CONFIG', 'RESETSTAT'));
  afterAll(() => opened?.close());

  const calls = async (name: string) => {
    const stats = String(await opened.redis('', 'INFO', 'commandstats'));
    return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  };

  it('do not share a command where their deadlines lie apart', async () => {
    const set = (key: string, within: number) => opened.backend.set(key, bytes, 'never', now() + within);
    await Promise.all([set('a', 1_000), set('b', 5_000), set('c', 2_000)]);
    expect(await calls('set')).toBe(3);
    expect((await calls('evalsha')) + (await calls('eval'))).toBe(0);
  });

  type Act = (deadline: number) => Promise<unknown>;
  const later: [string, Act, number][] = [
    ['delete', (deadline) => opened.backend.delete(['a'], deadline), 0],
    ['compareAndSet', (deadline) => opened.backend.compareAndSet('a', bytes, 'delete', deadline), 0],
    ['swap', (deadline) => opened.backend.swap('a', Buffer.from('swapped'), 'never', deadline), 7],
    ['setIfAbsent', (deadline) => opened.backend.setIfAbsent('a', Buffer.from('absent'), 'never', deadline), 6],
  ];
  it.each(later)('come before a %s of the same turn that is called after them', async (_, act, length) => {
    const deadline = now() + 5_000;
    await act(deadline); // Redis knows its script
    await opened.backend.delete(['a'], deadline);
    await Promise.all([...['a', 'b'].map((key) => opened.backend.set(key, bytes, 'never', deadline)), act(deadline)]);
    expect(await opened.redis('', 'STRLEN', 'a')).toBe(length);
  });

  it('are sent again by themselves from the first on that Redis refuses amid a command, and those before are not', async () => {
    const deadline = now() + 5_000;
    const set = (key: string, ttl: number) => opened.backend.set(key, bytes, { in: ttl }, deadline);
    const outcomes = await settled([set('a', HOUR), set('b', 0), set('c', HOUR)]); // SET takes no ttl of 0
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: expect.any(CacheCommandError) });
    expect(await opened.redis('', 'EXISTS', 'a', 'c')).toBe(2);
    expect(await calls('set')).toBe(4); // of the script "a" and "b", then "b" and "c"
  });
});
