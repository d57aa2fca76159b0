import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { eventually } from './eventually.js';
import { TcpProxy } from './proxy.js';
import { RedisServer } from './redis-server.js';

describe('TcpProxy', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let clients: Redis[];

  beforeAll(async () => (server = await RedisServer.start()));
  afterAll(() => server.stop());
  beforeEach(async () => {
    await server.cli('DEL', 'key');
    clients = [];
    proxy = await TcpProxy.start(server);
  });
  afterEach(async () => {
    for (const client of clients) client.disconnect();
    await proxy.stop();
  });

  async function connected(): Promise<Redis> {
    const client = new Redis(proxy.url, { retryStrategy: () => null, maxRetriesPerRequest: 0, disconnectTimeout: 100 });
    client.on('error', () => undefined);
    clients.push(client);
    await client.ping();
    return client;
  }

  const silent = async (reply: Promise<unknown>) => (await Promise.race([reply, sleep(60, 'silence')])) === 'silence';

  it('passes bytes on, counts them and its connections', async () => {
    const client = await connected();
    await client.set('key', 'x'.repeat(1000));
    expect(proxy.accepted).toBe(1);
    expect(proxy.open).toBe(1);
    expect(proxy.bytes.requests).toBeGreaterThan(1000);
    client.disconnect();
    await eventually(() => expect(proxy.open).toBe(0));
  });

  it('cut: ends connections, refuses new ones, welcomes them after resume', async () => {
    const client = await connected();
    const ended = once(client, 'end');
    await proxy.cut();
    await ended;
    await expect(connected()).rejects.toThrow();
    await proxy.resume();
    await connected();
  });

  it('stall: holds both ways back, delivers after resume', async () => {
    const client = await connected();
    proxy.stall();
    const reply = client.set('key', '1');
    expect(await silent(reply)).toBe(true);
    expect(await server.cli('EXISTS', 'key')).toBe(0);
    await proxy.resume();
    expect(await reply).toBe('OK');
  });

  it('stall: what a client sent before it closed arrives after resume, unless it reset the connection', async () => {
    for (const [reset, exists] of [
      [false, 1],
      [true, 0],
    ] as const) {
      const client = await connected();
      const arrived = proxy.bytes.requests;
      proxy.stall();
      const lost = client.set('key', '1').catch((error: unknown) => error);
      await sleep(60); // the bytes are on their way, which nobody announces
      if (reset) client.stream.resetAndDestroy();
      else client.disconnect();
      expect(await lost).toBeInstanceOf(Error);
      await sleep(20);
      await proxy.resume();
      await eventually(() => expect(proxy.open).toBe(0));
      expect(await server.cli('EXISTS', 'key')).toBe(exists);
      expect(proxy.bytes.requests > arrived).toBe(!reset);
      await server.cli('DEL', 'key');
    }
  });

  it('may be told which connections a fault is meant for', async () => {
    const [first, second] = [await connected(), await connected()];
    proxy.stall((nth) => nth === 2);
    const reply = second.set('key', '1');
    expect(await first.exists('key')).toBe(0);
    expect(await silent(reply)).toBe(true);
    await proxy.resume();
    expect(await reply).toBe('OK');
    const ended = once(second, 'end');
    proxy.endConnections((nth) => nth === 2);
    await ended;
    proxy.delay(30, (nth) => nth === 3);
    const third = await connected();
    const start = performance.now();
    await first.ping();
    const between = performance.now();
    await third.ping();
    expect(performance.now() - between).toBeGreaterThanOrEqual(59);
    expect(between - start).toBeLessThan(59);
  });

  it('stallReplies: executes and keeps the answer back', async () => {
    const client = await connected();
    proxy.stallReplies();
    const reply = client.set('key', '1');
    await eventually(async () => expect(await server.cli('EXISTS', 'key')).toBe(1));
    expect(await silent(reply)).toBe(true);
    await proxy.resume();
    expect(await reply).toBe('OK');
  });

  it('dropReplies: executes once, the answer is lost with its connection', async () => {
    const client = await connected();
    const dropped = proxy.dropReplies();
    await expect(client.set('key', '1')).rejects.toThrow();
    await dropped;
    expect(await server.cli('GET', 'key')).toBe('1');
    await connected();
  });

  it('acceptAndClose: accepts, then hangs up', async () => {
    await connected();
    proxy.acceptAndClose();
    const { accepted } = proxy;
    await expect(connected()).rejects.toThrow();
    expect(proxy.accepted).toBe(accepted + 1);
  });

  it('delay: later each way, in the same order', async () => {
    const client = await connected();
    proxy.delay(30);
    const start = performance.now();
    expect(await Promise.all([client.incr('key'), client.incr('key'), client.incr('key')])).toEqual([1, 2, 3]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  });
});
