import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

const RECORDS = Array.from({ length: 2500 }, (_, i) => [`key ${i}`, i] as const);

describe('a call of several writes that an outage interrupts', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;
  let store: RedisCacheStore;

  beforeAll(async () => {
    server = await RedisServer.start();
    proxy = await TcpProxy.start(server);
  });
  beforeEach(async () => {
    app = await CacheApp.start({ url: proxy.url });
    ({ store } = app);
  });
  afterEach(async () => {
    await app.close();
    await proxy.resume();
    await server.cli('FLUSHALL');
  });
  afterAll(async () => {
    await proxy?.stop();
    await server?.stop();
  });

  const written = async () => ((await server.cli('KEYS', 'cache:*')) as string[]).length;

  it('does not say not-sent of what has been carried out in part', async () => {
    const patient = await CacheApp.start({ url: server.url, timeout: '10s' });
    await patient.store.putMany(RECORDS);
    await patient.close();
    proxy.delay(150); // the first part is done, and its reply under way, when the application begins to close
    const failure = reasonOf(store.clear());
    await eventually(async () => expect(await written()).not.toBe(RECORDS.length));
    await app.close();
    const error = await failure;
    expect(await written()).toBeGreaterThan(0);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect(error).toMatchObject({ outcome: 'unknown' });
  });

  it.each<[string, (s: RedisCacheStore) => Promise<unknown>]>([
    ['putMany', (s) => s.putMany(RECORDS)],
    ['deleteMany', (s) => s.deleteMany(RECORDS.map(([key]) => key))],
    ['deleteByTag', (s) => s.deleteByTag('user:42')],
    ['clear', (s) => s.clear()],
  ])('says not-sent where nothing was carried out: %s', async (_, call) => {
    await app.close();
    expect(await reasonOf(call(store))).toMatchObject({ reason: 'closed', outcome: 'not-sent' });
  });
});
