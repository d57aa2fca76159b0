import { DELETE, HEADS } from '../../lib/backend/redis-scripts.js';
import { CacheCommandError, CacheUnavailableError } from '../../lib/redis-cache.errors.js';
import { eventually } from '../support/eventually.js';
import { allOf, freshKey, ONE, type OpenServerBackend, soon, TWO } from './backend-contract.js';
import { tagged } from './backend-head-contract.js';

/** The part of the contract that only a server can break. */
export function describeServer(opened: () => OpenServerBackend): void {
  const backend = () => opened().backend;

  it('has written when the promise resolves', async () => {
    const key = freshKey();
    await backend().set(key, ONE, 'never', soon());
    expect(await opened().redis(key, 'GET', key)).toBe('one');
    expect(await backend().setIfAbsent(key, TWO, 'never', soon())).toBe(false);
    expect(await opened().redis(key, 'GET', key)).toBe('one');
    await backend().compareHead(key, ONE, { expire: { in: 60_000 } }, soon());
    expect(await opened().redis(key, 'PTTL', key)).toBeGreaterThan(50_000);
    await backend().delete([key], soon());
    expect(await opened().redis(key, 'EXISTS', key)).toBe(0);
  });

  it('tells the time of the server, whatever this host believes', async () => {
    const realNow = Date.now;
    Date.now = () => realNow() + 3_600_000;
    try {
      const [seconds] = (await opened().redis('any', 'TIME')) as [string];
      expect(Math.abs(backend().now() - Number(seconds) * 1000)).toBeLessThan(10_000);
    } finally {
      Date.now = realNow;
    }
  });

  it('leaves keys that are no UTF-8 out of a scan', async () => {
    const append = `redis.call('SET', KEYS[1] .. '\\255', 'x')`;
    await opened().redis('utf:{1}', 'EVAL', append, '1', 'utf:{1}');
    await backend().set('utf:2', ONE, 'never', soon());
    expect(await allOf(backend().scan('utf:'))).toEqual(['utf:2']);
  });

  it('asks for as many heads at once as fit into some 100 kB, so that a slow line brings them in time', async () => {
    const { bytes } = tagged(Array.from({ length: 64 }, (_, i) => `${i}`.padEnd(500, 'x')));
    const keys = Array.from({ length: 20 }, (_, i) => `{heads}${i}`);
    await Promise.all(keys.map((key) => backend().set(key, bytes, 'never', soon())));
    for (const { source } of [HEADS, DELETE]) {
      const told = await opened().redis('{heads}', 'EVAL', source, String(keys.length), ...keys);
      expect(JSON.stringify(told).length).toBeLessThan(150_000);
    }
    const left = await backend().heads(keys, soon());
    expect(left.filter(Boolean).length).toBeGreaterThan(10); // what was not told of was not deleted
    expect((await backend().delete(keys, soon())).filter(Boolean)).toEqual(left.filter(Boolean));
  });

  describe('a key of another type', () => {
    const list = async () => {
      const key = freshKey();
      await opened().redis(key, 'RPUSH', key, 'element');
      return key;
    };
    const expectRefused = async (call: Promise<unknown>) => {
      const error = await call.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CacheCommandError);
      expect(error).toMatchObject({ reply: 'WRONGTYPE' });
    };

    it('is an error for what looks at bytes, and stays as it is', async () => {
      const key = await list();
      await expectRefused(backend().get(key, soon()));
      await expectRefused(backend().getWithTtl(key, soon()));
      await expectRefused(backend().take(key, soon()));
      await expectRefused(backend().compareAndSet(key, ONE, 'delete', soon()));
      await expectRefused(backend().compareHead(key, ONE, 'delete', soon()));
      expect(await opened().redis(key, 'LLEN', key)).toBe(1);
    });

    it('is an error amid many gets of one moment too, never absence', async () => {
      const [key, good, absent] = [await list(), freshKey(), freshKey()];
      await backend().set(good, ONE, 'never', soon());
      const [found, none, refused] = [good, absent, key].map((each) => backend().get(each, soon()));
      await expectRefused(refused ?? Promise.resolve());
      // Of the others it may be one too, but not a wrong answer.
      await found?.then((bytes) => expect(bytes).toEqual(ONE), expectError);
      await none?.then((bytes) => expect(bytes).toBeUndefined(), expectError);
    });

    it('is something that is there for has, ttl, heads, setIfAbsent and delete, and overwritten by set and swap', async () => {
      const [key, other] = [await list(), await list()];
      expect(await backend().has(key, soon())).toBe(true);
      expect(await backend().ttl(key, soon())).toBeNull();
      expect(await backend().setIfAbsent(key, ONE, 'never', soon())).toBe(false);
      expect(await backend().heads([key], soon())).toEqual([Buffer.alloc(0)]);
      expect(await backend().delete([key], soon())).toEqual([Buffer.alloc(0)]);
      await backend().set(other, ONE, 'never', soon());
      expect(await backend().get(other, soon())).toEqual(ONE);
      const third = await list();
      expect(await backend().swap(third, ONE, 'never', soon())).toBeUndefined();
      expect(await backend().get(third, soon())).toEqual(ONE);
    });

    it('is an error for what works on indexes', async () => {
      const key = await list();
      await expectRefused(backend().addToIndex(key, 'member', { ttl: null }, soon()));
      await expectRefused(backend().admitToIndex(key, 'member', { ttl: null }, 1, soon()));
      await expectRefused(allOf(backend().indexMembers(key)));
      await expectRefused(backend().removeFromIndex(key, ['member'], backend().generation, soon()));
    });
  });

  describe('when nothing answers', () => {
    afterEach(async () => {
      opened().thaw();
      await eventually(() => backend().has('key', soon()), { timeout: 15_000 });
    });

    it('settles every call by its deadline, with CacheUnavailableError', async () => {
      opened().freeze();
      const until = performance.now() + 300;
      const settled = await Promise.allSettled([
        backend().get('key', until),
        backend().getWithTtl('key', until),
        backend().set('key', ONE, 'never', until),
        backend().setIfAbsent('key', ONE, 'never', until),
        backend().compareAndSet('key', ONE, 'delete', until),
        backend().take('key', until),
        backend().has('key', until),
        backend().ttl('key', until),
        backend().delete(['key', 'other'], until),
        backend().heads(['key', 'other'], until),
        backend().swap('key', ONE, 'never', until),
        backend().compareHead('key', ONE, 'delete', until),
        backend().addToIndex('index', 'member', { ttl: null }, until),
        backend().admitToIndex('index', 'member', { ttl: null }, 1, until),
        backend().removeFromIndex('index', ['member'], backend().generation, until),
        backend().hit('counter', { by: 1, ttl: null }, until),
        backend().counter('counter', until),
        backend().getToKeep('key', until),
      ]);
      expect(performance.now()).toBeLessThan(until + 1000);
      for (const result of settled) {
        expect(result).toMatchObject({ status: 'rejected', reason: { reason: 'timeout', outcome: 'unknown' } });
        expect((result as PromiseRejectedResult).reason).toBeInstanceOf(CacheUnavailableError);
      }
    });
  });
}

function expectError(error: unknown): void {
  expect(error).toBeInstanceOf(CacheCommandError);
}
