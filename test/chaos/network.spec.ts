import { setTimeout as delay } from 'node:timers/promises';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { endure } from '../support/endure.js';
import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { expectPromisesKept, Load, type LoadReport } from '../support/load.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 500;
const LASTING = LONG ? 6000 : 1200;
const AROUND = LONG ? 2000 : 300;

describe('Between the application and Redis', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;
  /** Another process, beside the broken network. */
  let other: CacheApp;

  const start = (url: string, timeout = TIMEOUT) => CacheApp.start({ url, timeout, namespace: 'chaos' });

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    proxy = await TcpProxy.start(server);
    app = await start(proxy.url);
    other = await start(server.url);
  });
  afterEach(async () => {
    await Promise.all([app.close(), other.close()]);
    await proxy.stop();
  });
  afterAll(() => server.stop());

  async function expectSurvived(name: string, fault: () => unknown, lasting = LASTING): Promise<LoadReport> {
    const report = await endure(name, [app], async () => {
      await fault();
      await delay(lasting);
      await proxy.resume();
    });
    expectPromisesKept(report, TIMEOUT);
    return report;
  }

  describe('promises 1, 3 and 4 hold when', () => {
    it('all connections are cut, and new ones refused', async () => {
      const report = await expectSurvived('network cut', () => proxy.cut());
      expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    });

    it('packets are dropped silently', async () => {
      const { outcomes } = await expectSurvived('packets dropped silently', () => proxy.stall());
      expect(outcomes.unknown + outcomes['not-sent']).toBeGreaterThan(0);
    });

    it('only replies are dropped', async () => {
      await expectSurvived('replies dropped', () => proxy.stallReplies());
    });

    it('a balancer accepts and closes', async () => {
      const report = await expectSurvived('accept and close', () => proxy.acceptAndClose());
      expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    });
  });

  it('Promise 2: a blip of 200 ms under load costs no error', async () => {
    await app.close();
    app = await start(proxy.url, 2000);
    const load = new Load([app.store], { workers: 50, pause: 5 });
    await delay(AROUND);
    proxy.stall();
    await delay(200);
    await proxy.resume();
    const healedAt = performance.now();
    await eventually(() => expect(load.successesSince(healedAt)).toBeGreaterThan(100));
    const report = await load.finish('blip of 200 ms', healedAt);
    expectPromisesKept(report, 2000);
    expect(report.outcomes).toMatchObject({ 'not-sent': 0, unknown: 0, refused: 0 });
  });

  it('Promise 2: calls that come while the connection is being replaced wait for the next one', async () => {
    await app.close();
    app = await start(proxy.url, 2000);
    await proxy.cut();
    await eventually(() => expect(app.connection.status).toBe('down'));
    const calls = Array.from({ length: 500 }, (_, i) => app.store.put(`key ${i}`, i));
    await delay(200);
    await proxy.resume();
    await Promise.all(calls);
    expect(await app.store.keys()).toHaveLength(500);
  });

  it('Promise 2: once it is known to be down, calls fail at once', async () => {
    await app.close();
    app = await start(proxy.url, 2000);
    await proxy.cut();
    await eventually(() => expect(app.connection.status).toBe('down'));
    const known = performance.now();
    await app.store.get('key').catch(() => undefined); // waits out what might have been a blip
    expect(performance.now() - known).toBeLessThan(1000);
    const begun = performance.now();
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => app.store.get('key')));
    expect(performance.now() - begun).toBeLessThan(500);
    for (const result of results) {
      expect(result).toMatchObject({ reason: { reason: 'disconnected', outcome: 'not-sent' } });
    }
  });

  it.each([
    ['to no command', '+secret\r\n', /Command queue state error/],
    ['that nobody can read', '?\r\n', /Protocol error|Unknown RESP type/],
  ])(
    'Promise 3: a connection is left after a reply %s, since the next ones might go to the wrong callers',
    async (_, reply, reason) => {
      for (let i = 0; i < 10; i++) await app.store.put('key', 1); // nothing of the boot is on its way any more
      const reasons: unknown[] = [];
      app.connection.status$.subscribe(() => reasons.push(app.connection.lastError?.message));
      const { accepted } = proxy;
      proxy.answer(reply);
      await eventually(() => expect(proxy.accepted).toBeGreaterThan(accepted));
      expect(reasons).toContainEqual(expect.stringMatching(reason));
      expect(String(reasons)).not.toContain('secret');
      expect(await app.store.get('key')).toBe(1);
    },
  );

  it('Promise 2: a connection that is dead is known to be down though nobody calls', async () => {
    proxy.stall();
    await eventually(() => expect(app.connection.status).toBe('down'));
    expect(app.connection.lastError?.message).toMatch(/Redis sent nothing|did not get ready/);
    await proxy.resume();
    await eventually(() => expect(app.connection.status).toBe('ready'));
  });

  it('Promise 4: a server that became a replica is left for the one that its name has come to mean, which no call notices', async () => {
    await app.close();
    app = await start(proxy.url, 8000);
    const heir = await RedisServer.start();
    try {
      await delay(1000); // a connection that is younger is not left
      proxy.retarget(heir);
      await server.cli('REPLICAOF', '127.0.0.1', heir.port);
      await Promise.all(Array.from({ length: 20 }, (_, i) => app.store.put(`key ${i}`, i)));
      const hits = await Promise.all(Array.from({ length: 20 }, () => app.store.increment('counter')));
      expect(hits.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual(hits.map((_, i) => i + 1));
      expect(await heir.cli('EXISTS', 'chaos:key 19')).toBe(1);
    } finally {
      await server.cli('REPLICAOF', 'NO', 'ONE');
      await heir.stop();
    }
  });

  describe('Promise 3: when a reply is lost', () => {
    // Long, so that the reply that gets lost is never that of a PING between.
    beforeEach(async () => {
      await app.close();
      app = await start(proxy.url, 10_000);
    });

    const UNKNOWN = { name: 'CacheUnavailableError', outcome: 'unknown', reason: 'disconnected' };

    it('take says that it may have happened, and is not sent again', async () => {
      await other.store.put('token', 1);
      const lost = proxy.dropReplies();
      await expect(app.store.take('token')).rejects.toMatchObject(UNKNOWN);
      await lost;
      await other.store.put('token', 2);
      await app.connection.ping();
      expect(await other.store.get('token')).toBe(2);
    });

    it('putIfAbsent says that it may have happened, and not that somebody was faster', async () => {
      void proxy.dropReplies();
      await expect(app.store.putIfAbsent('jti', true)).rejects.toMatchObject(UNKNOWN);
      expect(await other.store.get('jti')).toBe(true);
    });

    it('a counter that is updated is never one too high', async () => {
      await other.store.put('counter', 0);
      let acknowledged = 0;
      let unknown = 0;
      for (let i = 0; i < 20; i++) {
        if (i % 4 === 0) void proxy.dropReplies();
        const update = app.store.update<number>('counter', (count) => count + 1);
        await update.then(
          () => acknowledged++,
          (error: unknown) => {
            expect(error).toBeInstanceOf(CacheUnavailableError);
            unknown++;
          },
        );
      }
      const counter = await other.store.get<number>('counter');
      expect(counter).toBeGreaterThanOrEqual(acknowledged);
      expect(counter).toBeLessThanOrEqual(acknowledged + unknown);
    });

    it('a write is not sent again for the refusal of another, after which its connection was left', async () => {
      await app.store.increment('hits');
      await delay(1000); // a connection that is younger is not left
      await server.cli('REPLICAOF', '127.0.0.1', 1);
      proxy.stallReplies();
      const refused = app.store.put('key', 1);
      await delay(50);
      await server.cli('REPLICAOF', 'NO', 'ONE');
      const hit = app.store.increment('hits');
      await eventually(async () => expect(await other.store.counter('hits')).toMatchObject({ count: 2 }));
      void proxy.dropReplies(1);
      await proxy.resume();
      await expect(hit).rejects.toMatchObject(UNKNOWN);
      await refused; // sent again, to a master
      expect(await other.store.counter('hits')).toMatchObject({ count: 2 });
    });

    it('a read is repeated on a fresh connection', async () => {
      await other.store.put('session', 'value');
      const accepted = proxy.accepted;
      const lost = proxy.dropReplies();
      expect(await app.store.get('session')).toBe('value');
      await lost;
      expect(proxy.accepted).toBeGreaterThan(accepted);
    });
  });

  it('Promise 3: a write that was given up is not delivered when the network heals, over a later delete', async () => {
    await app.store.put('session', 'old');
    proxy.stall();
    const abandoned = app.store.put('session', 'ghost');
    await expect(abandoned).rejects.toMatchObject({ reason: 'timeout', outcome: 'unknown' });
    expect(await other.store.delete('session')).toBe(true);
    await delay(50); // the proxy runs in this process, and has to be told of the reset, which is not a moment late
    await proxy.resume();
    await app.connection.ping().catch(() => undefined);
    await eventually(() => expect(app.connection.status).toBe('ready'));
    for (let i = 0; i < 10; i++) {
      expect(await other.store.has('session')).toBe(false);
      await delay(50);
    }
  });
});
