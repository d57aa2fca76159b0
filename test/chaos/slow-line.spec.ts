import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { freePort } from '../../scripts/processes.mjs';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';

const RECORDS = 64;
const RECORD = 200_000;
/** Bytes a second. */
const LINE = 5_000_000;

/** Passes on commands and replies at the pace of a line, each way. */
async function slowLine(target: number): Promise<{ port: number; close: () => void }> {
  const port = await freePort();
  const sockets: Socket[] = [];
  const server: Server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (data) => {
        from.pause();
        to.write(data);
        setTimeout(() => from.resume(), (data.length / LINE) * 1000);
      });
    }
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  return {
    port,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe('Over a slow line', () => {
  let server: RedisServer;
  let line: { port: number; close: () => void };
  let writer: CacheApp;
  let app: CacheApp | undefined;
  beforeAll(async () => {
    server = await RedisServer.start();
    line = await slowLine(server.port);
    writer = await CacheApp.start({ url: server.url });
  });
  afterEach(() => app?.close());
  afterAll(async () => {
    await writer.close();
    line.close();
    await server.stop();
  });

  const start = async (timeout: number) => {
    app = await CacheApp.start({ url: `redis://127.0.0.1:${line.port}`, timeout });
    return app.store;
  };
  const numbered = (count: number) => Array.from({ length: count }, (_, i) => `key ${i}`);
  const fulfilled = (results: readonly PromiseSettledResult<unknown>[]) =>
    results.filter(({ status }) => status === 'fulfilled').length;

  it('large records that are read together come one by one, so that as many arrive in time as the line carries', async () => {
    const store = await start(2000);
    const keys = numbered(RECORDS);
    await writer.store.putMany(keys.map((key) => [key, 'x'.repeat(RECORD)]));
    for (const _ of [1, 2]) {
      const results = await Promise.allSettled(keys.map((key) => store.get(key)));
      // The line carries 50 of them in time; what it still owes of the round before it carries first.
      expect(fulfilled(results)).toBeGreaterThan(20);
      await sleep(1500);
    }
  }, 30_000);

  it('a walk reads large records in parts, each of which comes in time', async () => {
    const options = { timeout: 500, encryption: { keys: [Buffer.alloc(32, 1)] }, hashKeys: true };
    const keys = numbered(24).toSorted();
    const sealed = await CacheApp.start({ url: server.url, ...options, namespace: 'walk' });
    await sealed.store.putMany(keys.map((key) => [key, 'x'.repeat(RECORD)]));
    await sealed.close();
    app = await CacheApp.start({ url: `redis://127.0.0.1:${line.port}`, ...options, namespace: 'walk' });
    expect(await app.store.keys()).toEqual(keys); // which it has to read the records for
    const walked: string[] = [];
    for await (const [key] of app.store.entries()) walked.push(key);
    expect(walked.toSorted()).toEqual(keys);
  }, 30_000);

  it('putMany writes large records in parts, each of which is written in time', async () => {
    const store = await start(500);
    const keys = numbered(24);
    await store.putMany(keys.map((key) => [key, 'x'.repeat(RECORD)]));
    expect(await writer.store.getMany(keys)).not.toContain(undefined);
  }, 30_000);

  it('no more is asked for than 32 MiB, so that Redis does not fill its memory with replies', async () => {
    const store = await start(1500);
    const keys = numbered(4);
    await writer.store.putMany(keys.map((key) => [key, 'x'.repeat(2 ** 20)]));
    await store.get('key 0');
    let owed = 0;
    const reads: Promise<unknown>[] = [];
    for (let round = 0; round < 50; round++) {
      reads.push(...keys.map((key) => store.get(key)));
      await sleep(10);
      const clients = String(await server.cli('CLIENT', 'LIST'));
      owed = Math.max(owed, ...[...clients.matchAll(/ omem=(\d+) /g)].map(([, bytes]) => Number(bytes)));
    }
    const results = await Promise.allSettled(reads);
    expect(fulfilled(results)).toBeGreaterThan(2);
    expect(owed / 2 ** 20).toBeLessThan(34);
  }, 30_000);

  it('one large record does not hold up the small ones that are read after it', async () => {
    const far = await TcpProxy.start(server);
    far.delay(20);
    app = await CacheApp.start({ url: far.url, timeout: '10s' });
    const keys = numbered(1000);
    await writer.store.putMany(keys.map((key) => [key, 1]));
    await writer.store.put('large', 'x'.repeat(6 * 2 ** 20));
    await app.store.getMany(['key 0', 'large']);
    const { roundTrips } = far;
    expect(await app.store.getMany(keys)).toEqual(keys.map(() => 1));
    // If each were expected to be as large as the largest, some five of them would leave at once: twelve round trips.
    expect(far.roundTrips - roundTrips).toBeLessThan(7);
    await far.stop();
  }, 30_000);

  it('a record that is far larger than all before it fails the small ones that are read with it once at most', async () => {
    const store = await start(500);
    const keys = numbered(20);
    await writer.store.putMany(keys.map((key) => [key, 1]));
    await writer.store.put('huge', 'x'.repeat(LINE));
    expect(await store.getMany(keys)).toEqual(keys.map(() => 1)); // small, as far as has been seen
    await Promise.allSettled([...keys, 'huge'].map((key) => store.get(key)));
    await eventually(() => store.get('key 0'), { timeout: 5000 }); // the line has carried it
    const results = await Promise.allSettled([...keys, 'huge'].map((key) => store.get(key)));
    expect(fulfilled(results)).toBe(keys.length);
  }, 30_000);

  it('a huge record fails none of the small ones that are read with it before any size is known', async () => {
    const keys = numbered(10);
    await writer.store.putMany(keys.map((key) => [key, 1]));
    await writer.store.put('huge', 'x'.repeat(LINE));
    const store = await start(500);
    const results = await Promise.allSettled(['huge', ...keys].map((key) => store.get(key)));
    expect(fulfilled(results)).toBe(keys.length);
  }, 30_000);

  const huge: [string, Parameters<typeof CacheApp.start>[0], (store: CacheApp['store']) => Promise<unknown>][] = [
    ['by get', {}, (store) => store.get('huge')],
    ['by get with a near cache', { nearCache: true }, (store) => store.get('huge')],
    ['by get with touch', {}, (store) => store.get('huge', { touch: '1h' })],
    ['by getMany', {}, (store) => store.getMany(['huge'])],
    ['by move', {}, (store) => store.move('huge', 'moved')],
    [
      'by a walk',
      {},
      async (store) => {
        for await (const _ of store.records({ prefix: 'huge' })) continue;
      },
    ],
  ];
  it.each(huge)(
    'a huge record that is read again and again %s fails no other read',
    async (_, options, read) => {
      const keys = numbered(20);
      await writer.store.clear();
      await writer.store.putMany(keys.map((key) => [key, 1]));
      await writer.store.put('huge', 'x'.repeat(LINE));
      app = await CacheApp.start({ url: `redis://127.0.0.1:${line.port}`, timeout: 500, ...options });
      const { store } = app;
      await store.getMany(keys);
      await read(store).catch(() => undefined); // so that it is known
      const reads: PromiseSettledResult<unknown>[] = [];
      const readsOfHuge: Promise<unknown>[] = [];
      for (let round = 0; round < 12; round++) {
        if (round % 5 === 0) readsOfHuge.push(read(store).catch(() => undefined));
        reads.push(...(await Promise.allSettled(keys.map((key) => store.get(key)))));
        await sleep(40);
      }
      expect(fulfilled(reads)).toBe(reads.length);
      await Promise.all(readsOfHuge);
    },
    30_000,
  );
});
