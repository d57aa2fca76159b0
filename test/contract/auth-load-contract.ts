import { setTimeout as sleep } from 'node:timers/promises';
import { CacheArgumentError } from 'nestjs-redis-cache-store';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { z } from 'zod';
import type { Stage } from '../support/stage.js';
import { expectTtl, HOUR, hundred } from './auth-contract.js';

/** A load that goes on until it is told to end. */
class Load<T> {
  runs = 0;
  end: (value: T) => void = () => undefined;
  private begin: () => void = () => undefined;
  /** Resolves when it has begun. */
  readonly running = new Promise<void>((resolve) => (this.begin = resolve));
  private readonly result = new Promise<T>((resolve) => (this.end = resolve));

  readonly load = (): Promise<T> => {
    this.runs++;
    this.begin();
    return this.result;
  };
}

/** What `getOrPut` promises. */
export function describeLoads(open: () => Promise<Stage>): void {
  describe('getOrPut', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    it('loads what is not there, stores it with ttl and tags, and loads nothing while it is there', async () => {
      expect(await store.getOrPut('key', () => 'loaded', { ttl: '2h', tags: ['user:42'] })).toBe('loaded');
      await expectTtl(store, 'key', 2 * HOUR);
      expect(await store.keys({ tag: 'user:42' })).toEqual(['key']);
      expect(await store.getOrPut('key', () => 'again')).toBe('loaded');
      await stage.pass(3 * HOUR);
      expect(await store.getOrPut('key', () => 'again')).toBe('again');
      await expectTtl(store, 'key', HOUR);
    });

    it('100 concurrent callers in one process share one load, and each gets a value of its own', async () => {
      const load = new Load<{ roles: string[] }>();
      const results = hundred(() => store.getOrPut('key', load.load));
      await load.running;
      load.end({ roles: ['user'] });
      for (const value of await results) {
        expect(value).toEqual({ roles: ['user'] });
        value.roles.push('admin');
      }
      expect(load.runs).toBe(1);
      expect(await store.get('key')).toEqual({ roles: ['user'] });
    });

    it('callers for different keys share nothing', async () => {
      expect(await hundred((i) => store.getOrPut(`key ${i}`, () => i))).toEqual(
        Array.from({ length: 100 }, (_, i) => i),
      );
    });

    it('a failing load reaches each of 100 waiters and is not remembered', async () => {
      let runs = 0;
      const fail = async (): Promise<string> => {
        runs++;
        throw new RangeError('the database is down');
      };
      const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => store.getOrPut('key', fail)));
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: new RangeError('the database is down') });
      expect(runs).toBe(1);
      expect(await store.has('key')).toBe(false);
      expect(await store.getOrPut('key', () => 'loaded')).toBe('loaded');
    });

    it('a load that would wait for itself rejects at once, whatever lies between, and is not remembered', async () => {
      const refused = { message: expect.stringContaining('a load that waits for this one') };
      const again = () => store.getOrPut('key', () => 1);
      await expect(store.getOrPut('key', again)).rejects.toMatchObject(refused);
      await expect(store.getOrPut('key', () => store.getOrPut('inner', again))).rejects.toMatchObject(refused);
      expect(await store.getOrPut('key', () => store.getOrPut('inner', () => 1))).toBe(1);
      await store.deleteMany(['key', 'inner']);
      // Two that meet in each other.
      const [left, right] = [new Load<void>(), new Load<void>()];
      const crossed = [
        store.getOrPut('left', async () => [await left.load(), await store.getOrPut('right', () => 'never')]),
        store.getOrPut('right', async () => [await right.load(), await store.getOrPut('left', () => 'never')]),
      ];
      await Promise.all([left.running, right.running]);
      [left, right].forEach(({ end }) => end());
      for (const each of await Promise.allSettled(crossed)) expect(each).toMatchObject({ reason: refused });
      expect(await store.getOrPut('left', () => 'loaded')).toBe('loaded');
    });

    it('with a near cache plain data is frozen from the first answer on, as by get and getMany', async () => {
      const near = await stage.open({ ttl: '1h', nearCache: true });
      const value = { roles: ['user'] };
      for (let round = 0; round < 3; round++) {
        const answers: unknown[] = [
          await near.getOrPut('key', () => value),
          await near.get('key'),
          await near.get('key', { touch: true }),
          ...(await near.getMany(['key'])),
        ];
        for (const answer of answers as (typeof value)[]) {
          expect([Object.isFrozen(answer), Object.isFrozen(answer.roles)]).toEqual([true, true]);
        }
      }
      expect(Object.isFrozen(value)).toBe(false); // what the application loads is its own
    });

    it('undefined reaches the callers and is not stored; null is a value', async () => {
      expect(await hundred(() => store.getOrPut('key', () => undefined))).toEqual(Array(100).fill(undefined));
      expect(await store.has('key')).toBe(false);
      expect(await store.getOrPut('key', () => null)).toBeNull();
      expect(await store.getOrPut('key', () => null as string | null)).toBeNull();
      expect(await store.has('key')).toBe(true);
    });

    it('what cannot be stored is a CacheArgumentError for every waiter', async () => {
      const load = (): unknown => () => 'a function';
      await expect(store.getOrPut('key', load)).rejects.toThrow(CacheArgumentError);
      let runs = 0;
      await expect(store.getOrPut('key', () => ++runs, { ttl: 0 })).rejects.toThrow(CacheArgumentError);
      await expect(store.getOrPut('', () => ++runs)).rejects.toThrow(CacheArgumentError);
      expect(runs).toBe(0);
    });

    it('what somebody else stored meanwhile wins over the load, for every waiter', async () => {
      const load = new Load<string>();
      const results = hundred(() => store.getOrPut('key', load.load));
      await load.running;
      await store.putIfAbsent('key', 'theirs');
      load.end('ours');
      expect(await results).toEqual(Array(100).fill('theirs'));
      expect(await store.get('key')).toBe('theirs');
    });

    it.each<[string, (store: RedisCacheStore) => Promise<unknown>]>([
      ['delete', (s) => s.delete('key')],
      ['deleteMany', (s) => s.deleteMany(['another', 'key'])],
      ['take', (s) => s.take('key')],
      ['deleteByTag', (s) => s.deleteByTag('user:42')],
      ['clear', (s) => s.clear()],
    ])('what is being loaded while %s comes is not stored over it', async (_, remove) => {
      const load = new Load<string>();
      const result = store.getOrPut('key', load.load, { tags: ['user:42'] });
      await load.running;
      await remove(store);
      const later = store.getOrPut('key', () => 'new');
      load.end('out of date');
      expect([await result, await later]).toEqual(['out of date', 'new']);
      expect(await store.get('key')).toBe('new');

      await store.delete('key');
      const lonely = new Load<string>();
      const last = store.getOrPut('key', lonely.load, { tags: ['user:42'] });
      await lonely.running;
      await remove(store);
      lonely.end('out of date');
      await last;
      expect(await store.has('key')).toBe(false);
    });

    it.each<[string, (store: RedisCacheStore) => Promise<unknown>]>([
      ['delete', (s) => s.delete('key')],
      ['take', (s) => s.take('key')],
      ['deleteByTag', (s) => s.deleteByTag('user:42')],
      ['clear', (s) => s.clear()],
    ])('what was loaded just before %s, and is being stored, is not stored over it', async (_, remove) => {
      for (let turns = 0; turns < 12; turns++) {
        const load = new Load<string>();
        const result = store.getOrPut('key', load.load, { tags: ['user:42'] });
        await load.running;
        load.end('out of date');
        for (let i = 0; i < turns; i++) await Promise.resolve();
        await remove(store);
        await result;
        expect(await store.has('key')).toBe(false);
      }
    });

    it.each<[string, (store: RedisCacheStore) => Promise<unknown>, unknown]>([
      ['put', (s) => s.put('key', 'new'), 'new'],
      ['putMany', (s) => s.putMany([['key', 'new']]), 'new'],
      ['replace', (s) => s.replace('key', 'new'), 'new'],
      ['update', (s) => s.update('key', () => 'new'), 'new'],
      ['delete', (s) => s.delete('key'), 'loaded'],
      ['take', (s) => s.take('key'), 'loaded'],
      ['deleteByTag', (s) => s.deleteByTag('user:42'), 'loaded'],
      ['clear', (s) => s.clear(), 'loaded'],
    ])('nobody who comes after %s gets what was read before', async (_, write, expected) => {
      const slow = z.string().refine(() => sleep(5, true));
      for (const options of [{ sliding: true }, { schema: slow }]) {
        const careful = await stage.open({ ttl: '1h', ...options });
        await careful.put('key', 'old', { tags: ['user:42'] });
        await careful.touch('key', '10m'); // a read extends it, which takes a while
        const written = write(careful);
        const early = careful.getOrPut('key', () => 'early');
        await written;
        expect([expected, 'early']).toContain(await careful.getOrPut('key', () => 'loaded'));
        await early;
        await careful.clear();
      }
    });

    it('each caller has bytes of its own, also of a serializer that gives them out as they are; so has update', async () => {
      const serializer = { serialize: (value: unknown) => value as Buffer, deserialize: (bytes: Uint8Array) => bytes };
      const raw = await stage.open<RedisCacheStore<Buffer>>({ serializer });
      const loaded = await hundred(() => raw.getOrPut('key', () => Buffer.from('abc')));
      for (const bytes of loaded) {
        expect(String(bytes)).toBe('abc');
        bytes.fill('-');
      }
      await raw.update('key', (bytes) => bytes.fill('x', 0, 1));
      expect(String(await raw.get('key'))).toBe('xbc');
    });

    it('what put stores while it loads stays', async () => {
      const load = new Load<string>();
      const result = store.getOrPut('key', load.load);
      await load.running;
      await store.put('key', 'put');
      load.end('loaded');
      await result;
      expect(await store.get('key')).toBe('put');
    });
  });
}
