import { setTimeout as delay } from 'node:timers/promises';
import { CacheConfigError, CacheUnavailableError } from 'nestjs-redis-cache-store';
import { freePort } from '../../scripts/processes.mjs';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';
import { SentinelDeployment } from '../support/sentinel.js';

const TIMEOUT = 500;

describe('The supervisor', () => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  async function serve(options = {}): Promise<RedisServer> {
    const server = await RedisServer.start(options);
    closers.push(() => server.stop());
    return server;
  }

  async function start(options: Parameters<typeof CacheApp.start>[0]): Promise<CacheApp> {
    const app = await CacheApp.start({ timeout: TIMEOUT, ...options });
    closers.push(() => app.close());
    return app;
  }

  describe('asks for credentials at every attempt, and', () => {
    it.each([
      ['throws', () => Promise.reject(new Error('the vault is sealed')), /vault is sealed/],
      ['throws at once', () => thrown(new Error('the vault is sealed')), /vault is sealed/],
      ['hangs', () => new Promise<never>(() => undefined), /no credentials came/],
      ['gives nothing', () => undefined as never, /"credentials": must give an object/],
      ['gives a password that is none', () => ({ password: 12345 }) as never, /"credentials": must give "password" as/],
      ['gives no moment', () => ({ password: 'right', expiresAt: NaN }), /"credentials": must give "expiresAt" as/],
      ['gives seconds', () => ({ password: 'right', expiresAt: Date.now() / 1000 }), /"expiresAt" as .* in ms/],
    ])('a function that %s is an outage that ends by itself', async (_, fail, problem) => {
      const server = await serve({ password: 'right' });
      let broken = true;
      const credentials = () => (broken ? fail() : { password: 'right' });
      const app = await start({ url: `redis://127.0.0.1:${server.port}`, credentials, startup: 'background' });
      await eventually(() => expect(app.connection.lastError?.message).toMatch(problem));
      expect(await reasonOf(app.store.get('key'))).toBeInstanceOf(CacheUnavailableError);
      broken = false;
      await eventually(() => expect(app.connection.status).toBe('ready'));
      await app.store.put('key', 1);
    });

    it('a boot that fails for wrong ones says what Redis said', async () => {
      const server = await serve({ password: 'right' });
      const url = `redis://127.0.0.1:${server.port}`;
      const reason = await reasonOf(start({ url, credentials: () => ({ password: 'wr0ng' }), startupTimeout: 400 }));
      expect(reason).toBeInstanceOf(CacheConfigError);
      expect(String(reason)).toContain('WRONGPASS');
      expect(String(reason)).not.toContain('wr0ng');
    });

    it('leaves what the url says where they are undefined', async () => {
      const { url } = await serve({ password: 'right' });
      const { connection } = await start({ url, credentials: () => ({ username: undefined, password: undefined }) });
      expect(connection.status).toBe('ready');
    });

    it('close() does not wait for them', async () => {
      const credentials = () => new Promise<never>(() => undefined);
      const app = await start({ url: `redis://127.0.0.1:${await freePort()}`, credentials, startup: 'background' });
      const begun = performance.now();
      await app.close();
      expect(performance.now() - begun).toBeLessThan(TIMEOUT);
    });
  });

  it('comes more and more rarely to a server that answers and then hangs up', async () => {
    const server = await serve();
    const proxy = await TcpProxy.start(server);
    closers.push(() => proxy.stop());
    const app = await start({ url: proxy.url });
    let flapping = true;
    closers.push(() => (flapping = false));
    const subscription = app.connection.status$.subscribe((status) => {
      if (status === 'ready' && flapping) setImmediate(() => proxy.endConnections());
    });
    await eventually(() => expect(proxy.accepted).toBeGreaterThan(9), { timeout: 10_000 });
    const before = proxy.accepted;
    await delay(1500);
    // At the pace of the first attempts it would be forty.
    expect(proxy.accepted - before).toBeLessThan(10);
    flapping = false;
    subscription.unsubscribe();
    await eventually(() => app.connection.ping());
  });

  it('lets 10,000 commands wait for a connection, and refuses the next ones at once', async () => {
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const app = await start({ url, startup: 'background', timeout: '20s', startupTimeout: '20s' });
    const waiting = Array.from({ length: 10_000 }, (_, i) => app.store.putIfAbsent(`key ${i}`, i));
    const settled = Promise.allSettled(waiting);
    await eventually(async () => {
      const reason = await reasonOf(app.store.putIfAbsent('one too many', 1));
      expect(reason).toMatchObject({ reason: 'disconnected', outcome: 'not-sent' });
    });
    await serve({ port });
    expect((await settled).filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(await app.store.has('one too many')).toBe(false);
    expect(await app.store.has('key 9999')).toBe(true);
  });

  it('gets past a sentinel that is frozen', async () => {
    const deployment = await SentinelDeployment.start();
    closers.push(() => deployment.stop());
    const [first] = deployment.sentinels;
    first?.freeze(); // the one that is asked first
    const app = await start({ url: deployment.url });
    await app.store.put('key', 1);
    expect(await app.store.get('key')).toBe(1);
  });

  it('tells what a server said that has no room for another client', async () => {
    const server = await serve();
    await server.cli('CONFIG', 'SET', 'maxclients', '1');
    const app = await start({ url: server.url, startup: 'background' });
    await eventually(() => expect(app.connection.lastError?.message).toMatch(/max number of clients/));
    await server.cli('CONFIG', 'SET', 'maxclients', '100');
    await eventually(() => expect(app.connection.status).toBe('ready'));
    expect(app.connection.lastError).toBeUndefined();
  });
});

function thrown(error: Error): never {
  throw error;
}
