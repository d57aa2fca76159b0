import { setTimeout as delay } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import {
  type CacheUnavailableError,
  RedisCacheModule,
  RedisCacheStore,
  RedisConnection,
  type ConnectionStatus,
} from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { LONG, reportFault } from '../support/fault-report.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 600;

describe('Promise', () => {
  let server: RedisServer;
  let app: CacheApp;

  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    await app?.close();
    server.thaw();
    await server.stop();
  });

  const start = async (options = {}) => {
    app = await CacheApp.start({ url: server.url, timeout: TIMEOUT, ...options });
  };

  it('2: memory stays flat under 5,000 calls a second against a dead server', async () => {
    await start();
    await server.kill9();
    const seconds = LONG ? 60 : 4;
    const before = await settledMemory();
    let failures = 0;
    const begun = performance.now();
    for (let tick = 0; tick < seconds * 100; tick++) {
      for (let i = 0; i < 50; i++) app.store.get(`key ${i}`).catch(() => failures++);
      await delay(Math.max(0, begun + (tick + 1) * 10 - performance.now()));
    }
    await eventually(() => expect(failures).toBe(seconds * 5000));
    const grown = Math.round(((await settledMemory()) - before) / 2 ** 20);
    reportFault(`dead for ${seconds} s at 5,000 calls/s`, { calls: failures, 'memory (MiB)': grown });
    expect(grown).toBeLessThan(40);
  }, 120_000);

  it('2: a server that reads nothing makes no more than 32 MiB of copies, and what waits behind them is never sent', async () => {
    await start({ timeout: 1000 });
    const value = Buffer.alloc(2 ** 20);
    server.freeze();
    const before = process.memoryUsage().arrayBuffers;
    const calls = Array.from({ length: 200 }, (_, i) =>
      reasonOf(app.connection.send(['set', `cache:${i}`, value], app.connection.call(false))),
    );
    await delay(100);
    expect((process.memoryUsage().arrayBuffers - before) / 2 ** 20).toBeLessThan(40);
    const ping = () => reasonOf(app.connection.send(['ping'], app.connection.call(true)));
    const waiting = Promise.all(Array.from({ length: 10_000 }, ping));
    expect(await ping()).toMatchObject({ outcome: 'not-sent', message: expect.stringContaining('too many') as string });
    await waiting;
    const outcomes = (await Promise.all(calls)).map((reason) => (reason as CacheUnavailableError).outcome);
    const written = outcomes.filter((outcome) => outcome === 'unknown').length;
    expect(written).toBeLessThanOrEqual(33);
    expect(outcomes.filter((outcome) => outcome === 'not-sent')).toHaveLength(200 - written);
    server.thaw();
    await eventually(() => app.store.put('after', 1));
    expect(Number(await server.cli('DBSIZE'))).toBeLessThanOrEqual(written + 1);
  });

  it('2: many large records are written all the same', async () => {
    await start({ timeout: '20s' });
    const value = 'x'.repeat(2 ** 20);
    await app.store.putMany(Array.from({ length: 100 }, (_, i) => [`key ${i}`, value]));
    expect(await server.cli('DBSIZE')).toBe(100);
    expect(await app.store.get('key 99')).toBe(value);
  });

  it('3: a value that is too large is refused here, and its neighbours are unharmed', async () => {
    await start({ maxBytes: 1000 });
    const neighbours = Array.from({ length: 100 }, (_, i) => app.store.put(`key ${i}`, i));
    await expect(app.store.put('large', 'x'.repeat(1000))).rejects.toMatchObject({ code: 'CACHE_ARGUMENT' });
    await Promise.all(neighbours);
    expect(await app.store.keys()).toHaveLength(100);
  });

  it('3: 1,000 concurrent reads each get their own record, whatever hostile calls run between them', async () => {
    // 5,000 calls of one turn are more work than a busy machine does within the timeout of the other tests.
    await start({ timeout: 30_000 });
    const statuses: ConnectionStatus[] = [];
    app.connection.status$.subscribe((status) => statuses.push(status));
    await app.store.putMany(Array.from({ length: 1000 }, (_, i) => [`key ${i}`, i] as const));
    const hostile: unknown[] = ['', '\ud800', [], ['key 1', 'key 2'], {}, null, 5, Object.create(null), Symbol('key')];
    const reads = Array.from({ length: 1000 }, (_, i) => {
      const bad = hostile[i % hostile.length] as string;
      const writes = [app.store.put('key', bad), app.store.get(bad), app.store.put(bad, i), app.store.take(bad)];
      for (const call of writes) call.catch(() => undefined);
      return app.store.get(`key ${i}`);
    });
    expect(await Promise.all(reads)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(statuses).toEqual(['ready']);
  }, 60_000);

  it('4: a password that is rotated on the server is picked up', async () => {
    let password = 'first';
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all');
    await start({ credentials: async () => ({ username: 'app', password }) });
    await server.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second');
    await server.cli('CLIENT', 'KILL', 'USER', 'app');
    await eventually(() => expect(app.connection.lastError?.message).toMatch(/WRONGPASS/));
    expect(app.connection.status).toBe('down');
    password = 'second';
    await eventually(() => app.connection.ping());
  });

  it('5: status, lastError and one log line for each transition tell the truth, and calls log nothing', async () => {
    const lines: string[] = [];
    const logger = { log: (line: string) => lines.push(line), warn: (line: string) => lines.push(line), error() {} };
    const options = { url: server.url, timeout: TIMEOUT, ttl: '1h' };
    const module = await Test.createTestingModule({ imports: [RedisCacheModule.forRoot(options)] })
      .setLogger(logger)
      .compile();
    const connection = module.get(RedisConnection);
    const seen: ConnectionStatus[] = [];
    connection.status$.subscribe((status) => seen.push(status));
    await module.init();
    expect(connection.lastError).toBeUndefined();
    await server.kill9();
    await eventually(() => expect(connection.status).toBe('down'));
    await eventually(() => expect(connection.lastError?.message).toContain('ECONNREFUSED'));
    const store = module.get(RedisCacheStore);
    await Promise.allSettled(Array.from({ length: 50 }, () => store.get('key')));
    await server.restart();
    await eventually(() => expect(connection.status).toBe('ready'));
    expect(connection.lastError).toBeUndefined();
    await module.close();
    expect(seen).toEqual(['connecting', 'ready', 'down', 'ready', 'closed']);
    expect(lines.filter((line) => line.startsWith('Redis is '))).toEqual([
      'Redis is ready',
      expect.stringMatching(/^Redis is down: /),
      'Redis is ready',
    ]);
  });

  it.each(['up', 'down', 'frozen'] as const)('6: shutdown is bounded while Redis is %s', async (state) => {
    await start();
    if (state === 'frozen') server.freeze();
    if (state === 'down') await server.kill9();
    const calls = Array.from({ length: 20 }, (_, i) => app.store.put(`key ${i}`, i));
    const settled = Promise.allSettled(calls);
    const begun = performance.now();
    await app.close();
    expect(performance.now() - begun).toBeLessThan(TIMEOUT + 1000);
    const results = await settled;
    if (state !== 'up') return;
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(await server.cli('DBSIZE')).toBe(20);
  });

  it('7: nothing leaks over many reconnects: no listener, no handle, no unhandled rejection', async () => {
    const complaints: unknown[] = [];
    const note = (reason: unknown) => complaints.push(reason);
    process.on('unhandledRejection', note).on('warning', note); // too many listeners are a warning
    const [rounds, many] = LONG ? [100, 10] : [15, 4];
    const apps = await Promise.all(Array.from({ length: many }, () => CacheApp.start({ url: server.url })));
    try {
      const handles = () => process.getActiveResourcesInfo().filter((name) => !name.startsWith('Immediate')).length;
      const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
      await server.cli('PING');
      const before = { handles: handles(), listeners: listeners() };
      for (let i = 0; i < rounds; i++) {
        await delay(110); // a connection that lasts less counts as a failure, and the next one comes later
        await server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await Promise.allSettled(apps.flatMap(({ store }) => [store.get('key'), store.put('key', i)]));
        for (const { connection } of apps) await eventually(() => connection.ping(), { interval: 5 });
      }
      await eventually(() => expect(handles()).toBeLessThanOrEqual(before.handles + 3));
      expect(listeners()).toBe(before.listeners);
      expect(complaints).toEqual([]);
      const calls = 3 * rounds * many;
      reportFault(`${rounds * many} reconnects`, { calls, 'handles left': Math.max(0, handles() - before.handles) });
    } finally {
      await Promise.all(apps.map((each) => each.close()));
      process.off('unhandledRejection', note).off('warning', note);
    }
  }, 60_000);
});

/** Bytes in use, once what is garbage had a chance to be collected. */
async function settledMemory(): Promise<number> {
  for (let i = 0; i < 5; i++) await delay(50);
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
