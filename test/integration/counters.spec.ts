import { CacheCommandError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { commandsDuring } from '../support/command-stats.js';
import { Stage } from '../support/stage.js';

const realNow = Date.now;

describe('counters in Redis', () => {
  let stage: Stage;
  let store: RedisCacheStore;
  beforeAll(async () => (stage = await Stage.redis()));
  beforeEach(async () => {
    await stage.server.cli('FLUSHALL');
    store = await stage.open({ namespace: 'attempt', ttl: '1h' });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  it('a hit is one command, with a limit and a block as well', async () => {
    await store.increment('key');
    const sent = await commandsDuring(stage.server, async () => {
      await store.increment('key');
      await store.increment('key', { limit: 2, block: { first: '1m' } });
    });
    expect(sent).toMatchObject({ evalsha: 2 });
    expect(sent).not.toHaveProperty('eval');
  });

  it('a hit is counted once by a server that has forgotten the script', async () => {
    await store.increment('key');
    await stage.server.cli('SCRIPT', 'FLUSH');
    expect(await store.increment('key')).toMatchObject({ count: 2 });
    await stage.server.cli('SCRIPT', 'FLUSH');
    expect(await store.counter('key')).toMatchObject({ count: 2 });
  });

  it('a counter ends on time although its key was made to live for ever', async () => {
    await store.increment('key', { ttl: '1m', limit: 1, block: { first: '2m' } });
    await store.increment('key', { ttl: '1m', limit: 1, block: { first: '2m' } });
    await store.increment('other', { ttl: '1m' });
    for (const key of ['key', 'other']) expect(await stage.server.cli('PERSIST', `attempt+${key}`)).toBe(1);
    await stage.pass(61_000);
    expect(await store.counter('other')).toBeUndefined();
    expect(await store.increment('key', { limit: 1 })).toMatchObject({ allowed: false });
    await stage.pass(60_000);
    expect(await store.increment('key', { limit: 1 })).toMatchObject({ count: 1, allowed: true });
  });

  it('the key of a counter goes when the counter is over and no block is remembered any more', async () => {
    await store.increment('plain', { ttl: '1m' });
    const options = { ttl: '1m', limit: 1, block: { first: '2m', longest: '10m' } };
    await store.increment('blocked', options);
    await store.increment('blocked', options);
    const left = async (key: string) => Number(await stage.server.cli('PTTL', `attempt+${key}`)) / 60_000;
    expect(await left('plain')).toBeLessThanOrEqual(1);
    expect(await left('plain')).toBeGreaterThan(0.5);
    expect(await left('blocked')).toBeLessThanOrEqual(12);
    expect(await left('blocked')).toBeGreaterThan(11.5);
  });

  it.each([-3_600_000, 3_600_000])('the clock of the application does not matter (%p ms off)', async (skew) => {
    await store.increment('key', { ttl: '10m' });
    Date.now = () => realNow() + skew;
    const hit = await store.increment('key', { limit: 2 });
    expect(hit).toMatchObject({ count: 2, allowed: true });
    expect(hit.ttl).toBeLessThanOrEqual(600_000);
    expect(hit.ttl).toBeGreaterThan(570_000);
  });

  it.each([
    ['SET', 'attempt+key', 'seven'],
    ['SET', 'attempt+key', '7'],
    ['RPUSH', 'attempt+key', '7'],
  ])('a foreign value (%s %s %s) is neither a counter nor overwritten', async (...command) => {
    await stage.server.cli(...command);
    const before = await stage.server.cli('DUMP', 'attempt+key');
    for (const call of [() => store.increment('key'), () => store.counter('key')]) {
      await expect(call()).rejects.toBeInstanceOf(CacheCommandError);
      await expect(call()).rejects.toMatchObject({ reply: 'WRONGTYPE' });
    }
    expect(await stage.server.cli('DUMP', 'attempt+key')).toEqual(before);
    expect(await store.resetCounter('key')).toBe(true);
  });

  it('a server without memory refuses a hit, counts nothing, and lets counters be read and reset', async () => {
    await store.increment('key');
    await stage.server.cli('CONFIG', 'SET', 'maxmemory', '1');
    try {
      await expect(store.increment('key')).rejects.toMatchObject({ reply: 'OOM' });
      expect(await store.counter('key')).toMatchObject({ count: 1 });
      expect(await store.resetCounter('key')).toBe(true);
    } finally {
      await stage.server.cli('CONFIG', 'SET', 'maxmemory', '0');
    }
  });
});
