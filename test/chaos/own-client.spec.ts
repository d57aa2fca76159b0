import { once } from 'node:events';
import { Redis } from 'ioredis';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { endure } from '../support/endure.js';
import { eventually } from '../support/eventually.js';
import { expectPromisesKept } from '../support/load.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 500;

/** ioredis by itself queues commands, sends them again after a reconnect, and waits for ever. */
describe("On a client of the user's own, with the options that ioredis has by default,", () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let client: Redis;
  let app: CacheApp;

  beforeEach(async () => {
    server = await RedisServer.start({ appendonly: true });
    proxy = await TcpProxy.start(server);
    // 100 ms, as this timer outlives a disconnect() whose socket had closed before.
    client = new Redis(proxy.port, { retryStrategy: () => 50, disconnectTimeout: 100 });
    client.on('error', () => undefined); // the user's business
    app = await CacheApp.start({ client, timeout: TIMEOUT, namespace: 'chaos' });
  });
  afterEach(async () => {
    await app?.close();
    client.disconnect();
    await proxy.stop();
    await server.stop();
  });

  it('promises 1, 3 and 4 hold when Redis is killed and restarted', async () => {
    const report = await endure('own client: killed (kill -9), restarted', [app], async () => {
      await server.kill9();
      await eventually(() => expect(app.connection.status).toBe('down'));
      await app.store.get('key').catch(() => undefined);
      await server.restart();
    });
    expectPromisesKept(report, TIMEOUT);
    expect(report.outcomes['not-sent']).toBeGreaterThan(0);
  });

  it('a write whose reply was lost is not sent again, and says that it may have happened', async () => {
    await app.store.put('token', 'one');
    const lost = proxy.dropReplies();
    const reason = await reasonOf(app.store.take('token'));
    await lost;
    expect(reason).toBeInstanceOf(CacheUnavailableError);
    expect(reason).toMatchObject({ reason: 'disconnected', outcome: 'unknown' });
    await server.cli('SET', 'chaos:token', 'somebody else'); // what a second GETDEL would take away
    await eventually(() => app.connection.ping());
    expect(await server.cli('GET', 'chaos:token')).toBe('somebody else');
  });

  it('a walk is complete although the client has connected to another server meanwhile', async () => {
    const records = Array.from({ length: 5000 }, (_, i) => [`key ${i}`, i] as const);
    const other = await RedisServer.start();
    const elsewhere = await CacheApp.start({ url: other.url, namespace: 'chaos' });
    for (const { store } of [app, elsewhere]) await store.putMany(records);
    const found = new Set<string>();
    for await (const key of app.store.scan()) {
      found.add(key);
      if (found.size !== 1500) continue;
      proxy.retarget(other);
      proxy.endConnections();
      await eventually(() => expect(app.connection.status).toBe('down'), { interval: 1 });
      await eventually(() => app.connection.ping());
    }
    expect(found.size).toBe(records.length);
    await elsewhere.close();
    await other.stop();
  });

  it('a read whose reply was lost is repeated', async () => {
    await app.store.put('session', 'value');
    const lost = proxy.dropReplies();
    expect(await app.store.get('session')).toBe('value');
    await lost;
  });

  it('what never left this process is not sent when ioredis has reconnected, not even what ioredis still held', async () => {
    await proxy.cut();
    const calls = Array.from({ length: 20 }, (_, i) => reasonOf(app.store.put(`key ${i}`, i)));
    await eventually(() => expect(app.connection.status).toBe('down'));
    calls.push(...Array.from({ length: 20 }, (_, i) => reasonOf(app.store.put(`later key ${i}`, i))));
    for (const reason of await Promise.all(calls)) expect(reason).toBeInstanceOf(CacheUnavailableError);
    await proxy.resume();
    await eventually(() => app.connection.ping());
    expect(await app.store.keys()).toEqual([]);
  });

  it('close() ends what waits, and leaves the client as it is', async () => {
    await proxy.cut();
    await eventually(() => expect(app.connection.status).toBe('down'));
    const call = reasonOf(app.store.get('key'));
    await app.close();
    expect(await call).toMatchObject({ reason: 'closed', outcome: 'not-sent' });
    await proxy.resume();
    if (client.status !== 'ready') await once(client, 'ready');
    expect(await client.ping()).toBe('PONG');
  });
});
