import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import {
  CacheUnavailableError,
  type ConnectionStatus,
  RedisCacheModule,
  type RedisCacheModuleOptions,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';
import { resolveConnection } from '../../lib/resolve-options.js';
import { freePort } from '../../scripts/processes.mjs';
import { CacheApp, SILENT } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

describe('the life of a connection', () => {
  let server: RedisServer;
  const closers: (() => Promise<unknown>)[] = [];

  beforeAll(async () => (server = await RedisServer.start()));
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
    await server.cli('FLUSHALL');
  });
  afterAll(() => server?.stop());

  async function compiled(options: RedisCacheModuleOptions) {
    const module = await Test.createTestingModule({ imports: [RedisCacheModule.forRoot(options)] })
      .setLogger(SILENT)
      .compile();
    closers.push(() => module.close());
    return { module, store: module.get(RedisCacheStore), connection: module.get(RedisConnection) };
  }

  async function started(options: RedisCacheModuleOptions): Promise<CacheApp> {
    const app = await CacheApp.start(options);
    closers.push(() => app.close());
    return app;
  }

  const received = async (of = server) =>
    Number(/total_connections_received:(\d+)/.exec(String(await of.cli('INFO', 'stats')))?.[1]);
  const connected = async (of = server) =>
    String(await of.cli('CLIENT', 'LIST', 'TYPE', 'NORMAL'))
      .trim()
      .split('\n').length;

  describe('its beginning', () => {
    it('is init(): compile() alone opens nothing', async () => {
      const before = await received();
      const { module, store, connection } = await compiled({ url: server.url });
      expect(connection.status).toBe('connecting');
      expect(await received()).toBe(before);
      await module.init();
      expect(connection.status).toBe('ready');
      expect(await received()).toBe(before + 1);
      expect(await store.get('key')).toBeUndefined();
    });

    it('is the first use of a store, if a hook of another module comes before ours', async () => {
      const before = await received();
      const { module, store, connection } = await compiled({ url: server.url });
      await store.put('key', 'early');
      expect(connection.status).toBe('ready');
      await module.init();
      expect(await store.get('key')).toBe('early');
      expect(await received()).toBe(before + 1);
    });

    it('tells the first failed attempt at once, with the address, and names it when it fails', async () => {
      const port = await freePort();
      const address = `127.0.0.1:${port}`;
      const warnings: string[] = [];
      const options = { url: `redis://${address}`, startupTimeout: '2s' };
      const connection = new RedisConnection(resolveConnection(options, (message) => warnings.push(message)));
      const opening = reasonOf(connection.open());
      await eventually(() => expect(warnings).toEqual([expect.stringContaining(address)]), { timeout: 1500 });
      const error = (await opening) as Error;
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect(String(error.cause)).toContain(address);
      expect(warnings).toHaveLength(1);
    });

    it('does not end with a logger of the application that throws', async () => {
      const port = await freePort();
      let warnings = 0;
      const warn = () => {
        warnings++;
        throw new Error('the disk is full');
      };
      const options = { url: `redis://127.0.0.1:${port}`, startup: 'background', ttl: null } as const;
      const imports = [RedisCacheModule.forRoot(options)];
      const module = await Test.createTestingModule({ imports })
        .setLogger({ ...SILENT, warn })
        .compile();
      closers.push(() => module.close());
      await module.init();
      await eventually(() => expect(warnings).toBe(1));
      const late = await RedisServer.start({ port });
      closers.push(() => late.stop());
      await eventually(() => expect(module.get(RedisConnection).status).toBe('ready'));
    });

    it('waits for Redis, by default, and so do calls of other providers meanwhile', async () => {
      const port = await freePort();
      const { module, store } = await compiled({
        url: `redis://127.0.0.1:${port}`,
        timeout: '20s',
        startupTimeout: '20s',
      });
      const init = module.init();
      const write = store.put('key', 'early');
      const late = await RedisServer.start({ port });
      closers.push(() => late.stop());
      await Promise.all([init, write]);
      expect(await store.get('key')).toBe('early');
    });

    it('happens in the background, if asked to: calls wait for it as long as their timeout lasts', async () => {
      const port = await freePort();
      const app = await started({
        url: `redis://127.0.0.1:${port}`,
        startup: 'background',
        timeout: '20s',
        startupTimeout: '30s',
      });
      expect(app.connection.status).toBe('connecting');
      const write = app.store.put('key', 'early');
      const late = await RedisServer.start({ port });
      closers.push(() => late.stop());
      await write;
      expect(app.connection.status).toBe('ready');
      expect(app.connection.lastError).toBeUndefined();
      expect(await app.store.get('key')).toBe('early');
    });

    it('in the background: calls give up when their timeout is over, and nothing is sent later', async () => {
      const port = await freePort();
      const app = await started({ url: `redis://127.0.0.1:${port}`, startup: 'background', timeout: 200 });
      const error = await reasonOf(app.store.put('key', 'never'));
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect(error).toMatchObject({ reason: 'disconnected', outcome: 'not-sent' });
      const late = await RedisServer.start({ port });
      closers.push(() => late.stop());
      await eventually(() => expect(app.connection.status).toBe('ready'), { timeout: 15_000 });
      expect(await app.store.keys()).toEqual([]);
    });

    it('fails the boot after startupTimeout, with address, reason and the options that decide', async () => {
      const url = `redis://127.0.0.1:${await freePort()}`;
      const begun = performance.now();
      const error = await CacheApp.failure({ url, startupTimeout: 400 });
      expect(performance.now() - begun).toBeGreaterThan(390);
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect(error).toMatchObject({ reason: 'disconnected', outcome: 'not-sent' });
      expect(String((error as Error).cause)).toContain('ECONNREFUSED');
      expect(String(error)).toMatch(new RegExp(`ECONNREFUSED ${url.slice('redis://'.length)} .*"startupTimeout"`));
    });

    it('fails the boot after startupTimeout also where something other than Redis answers, and asks about that', async () => {
      const http = createServer().listen(0, '127.0.0.1');
      await once(http, 'listening');
      const url = `redis://127.0.0.1:${(http.address() as AddressInfo).port}`;
      const error = await CacheApp.failure({ url, startupTimeout: 300 });
      http.close();
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect(String(error)).toContain('does something other than Redis listen there?');
      expect(String(error)).not.toContain('Please report');
    });

    it('fails the boot after startupTimeout also where somebody answers nothing', async () => {
      server.freeze();
      try {
        expect(await CacheApp.failure({ url: server.url, startupTimeout: 300 })).toBeInstanceOf(CacheUnavailableError);
      } finally {
        server.thaw();
      }
    });
  });

  describe('its end', () => {
    it('is close(): the connection is gone, status$ completes, and a call says so', async () => {
      const before = await connected();
      const { module, store, connection } = await compiled({ url: server.url });
      const statuses: ConnectionStatus[] = [];
      const completed = new Promise<void>((complete) => {
        connection.status$.subscribe({ next: (status) => statuses.push(status), complete });
      });
      await module.init();
      expect(await connected()).toBe(before + 1);
      await module.close();
      await completed;
      await eventually(async () => expect(await connected()).toBe(before));
      expect(statuses).toEqual(['connecting', 'ready', 'closed']);
      const error = await reasonOf(store.get('key'));
      expect(error).toMatchObject({ reason: 'closed', outcome: 'not-sent' });
      await expect(connection.ping()).rejects.toBeInstanceOf(CacheUnavailableError);
    });

    it('comes after the commands in flight have been answered', async () => {
      const app = await started({ url: server.url, timeout: '10s' });
      const reader = server.client();
      await reader.ping();
      await server.cli('CLIENT', 'PAUSE', 400, 'ALL');
      const order: string[] = [];
      const note = (what: string) => () => order.push(what);
      const calls = [
        app.store.put('key', 'in flight').then(note('put'), note('error')),
        app.store.has('other').then(note('has'), note('error')),
      ];
      await sleep(20); // by now they have been written to the socket, which nobody announces
      await app.close().then(note('closed'));
      await Promise.all(calls);
      expect(order.toSorted()).toEqual(['closed', 'has', 'put']);
      expect(order.at(-1)).toBe('closed');
      expect(await reader.exists('cache:key')).toBe(1);
    });

    it('comes after calls of the same turn, which leave at its end, have been answered', async () => {
      const app = await started({ url: server.url, timeout: '10s' });
      for (let i = 0; i < 10; i++) await app.store.put('before', 1); // nothing of the boot is on its way any more
      const calls = [app.store.put('a', 1), app.store.put('b', 1), app.store.get('before')];
      const closed = app.close();
      expect(await Promise.all(calls)).toEqual([undefined, undefined, 1]);
      await closed;
      expect(await server.cli('EXISTS', 'cache:a', 'cache:b')).toBe(2);
    });

    it('is bounded by the timeout, where they are never answered', async () => {
      const app = await started({ url: server.url, timeout: 500 });
      server.freeze();
      try {
        const write = reasonOf(app.store.put('key', 1));
        await sleep(20);
        const begun = performance.now();
        await app.close();
        expect(performance.now() - begun).toBeLessThan(5000);
        expect(await write).toMatchObject({ outcome: 'unknown' });
      } finally {
        server.thaw();
      }
    });

    it('leaves no connection behind although it comes amid the first attempt', async () => {
      const before = await connected();
      const options = resolveConnection({ url: server.url, startup: 'background' }, () => undefined);
      for (let turns = 0; turns < 20; turns++) {
        const connection = new RedisConnection(options);
        void connection.open();
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
        await connection.close();
      }
      await sleep(100);
      expect(await connected()).toBe(before);
    });

    it('is the same whether Redis is there or not', async () => {
      const other = await RedisServer.start();
      closers.push(() => other.stop());
      const app = await started({ url: other.url });
      await other.kill9();
      await eventually(() => expect(app.connection.status).toBe('down'));
      await app.close();
      expect(app.connection.status).toBe('closed');
    });
  });

  it('is its own for each of two applications', async () => {
    const before = await connected();
    const [one, two] = await Promise.all([
      started({ url: server.url, namespace: 'one' }),
      started({ url: server.url, namespace: 'two' }),
    ]);
    expect(await connected()).toBe(before + 2);
    await one.store.put('key', 1);
    await one.close();
    await two.store.put('key', 2);
    expect(await two.store.keys()).toEqual(['key']);
    expect(await server.cli('GET', 'one:key')).not.toBeNull();
  });

  it('in memory is one for each application, too', async () => {
    const [one, two] = await Promise.all([started({ url: 'memory:' }), started({ url: 'memory:' })]);
    await one.store.put('key', 1);
    expect(await two.store.get('key')).toBeUndefined();
    expect(await one.connection.ping()).toBe('PONG');
    await one.close();
    expect(await reasonOf(one.store.get('key'))).toMatchObject({ reason: 'closed', outcome: 'not-sent' });
    await two.store.put('key', 2);
    expect(one.connection.status).toBe('closed');
    expect(two.connection.status).toBe('ready');
  });
});
