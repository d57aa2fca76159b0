import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

/** The shortest silence after which a connection is doubted, and a bit more. */
const SILENCE = 1200;

describe('A connection that died unnoticed', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;

  beforeEach(async () => {
    server = await RedisServer.start();
    proxy = await TcpProxy.start(server);
  });
  afterEach(async () => {
    await app?.close();
    await proxy.stop();
    await server.stop();
  });

  it('is found out by the first call after a suspension, also by a write, which a new one answers within its timeout', async () => {
    app = await CacheApp.start({ url: proxy.url, timeout: '1s', namespace: 'chaos' });
    await app.store.put('key', 1);
    const { accepted } = proxy;
    await sleep(SILENCE); // as of a process that is suspended: no heartbeat, no call
    proxy.stall((nth) => nth <= accepted);
    await app.store.put('key', 2);
    expect(await server.cli('EXISTS', 'chaos:key')).toBe(1);
    expect(await app.store.get('key')).toBe(2);
  });

  it('is noticed though nobody calls, by its heartbeat', async () => {
    app = await CacheApp.start({ url: proxy.url, timeout: '1s', heartbeat: 200 });
    proxy.stall();
    await eventually(() => expect(app.connection.status).toBe('down'), { timeout: 10_000 });
    await proxy.resume();
    await eventually(() => expect(app.connection.status).toBe('ready'), { timeout: 10_000 });
  });

  it('costs an idle application one command for each heartbeat, and no more', async () => {
    app = await CacheApp.start({ url: server.url, heartbeat: 100 });
    const calls = async () => {
      const stats = String(await server.cli('INFO', 'commandstats'));
      return Object.fromEntries(
        [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name, count]) => [name, Number(count)]),
      );
    };
    await eventually(async () => expect((await calls())['time']).toBeGreaterThan(5));
    const names = Object.keys(await calls());
    expect(names.filter((name) => !/^(info|time|ping|hello|acl|client|auth|command|config)/.test(name))).toEqual([]);
  });

  it('never gets a step of a call whose deadline has passed while this process was busy', async () => {
    app = await CacheApp.start({ url: server.url, timeout: 400, namespace: 'chaos' });
    await app.store.put('key', 1);
    await server.cli('CLIENT', 'PAUSE', 100); // the reply to the first step comes while this process is busy
    const write = reasonOf(app.store.replace('key', 2)); // reads, then writes
    await sleep(10);
    const until = performance.now() + 600;
    while (performance.now() < until);
    expect(await write).toMatchObject({ reason: 'timeout', outcome: 'not-sent' });
    await sleep(200);
    expect(await app.store.get('key')).toBe(1);
  });
});

describe('Credentials that expire', () => {
  it('are renewed on the live connection before they do', async () => {
    const server = await RedisServer.start();
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>1', '~*', '&*', '+@all');
    let asked = 0;
    const credentials = () => ({ username: 'app', password: String(++asked), expiresAt: Date.now() + 2000 });
    const app = await CacheApp.start({ url: server.url, credentials });
    const statuses: string[] = [];
    app.connection.status$.subscribe((status) => statuses.push(status));
    try {
      await server.cli('ACL', 'SETUSER', 'app', 'resetpass', '>2', '>3');
      await eventually(
        async () => {
          expect(asked).toBeGreaterThan(1);
          expect(String(await server.cli('INFO', 'commandstats'))).toMatch(/cmdstat_auth:calls=[2-9],.*failed_calls=0/);
        },
        { timeout: 10_000 },
      );
      await app.store.put('key', 1);
      expect(statuses).toEqual(['ready']);
    } finally {
      await app.close();
      await server.stop();
    }
  }, 30_000);
});
