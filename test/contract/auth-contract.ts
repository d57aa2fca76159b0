import { CacheArgumentError, CacheUnavailableError } from 'nestjs-redis-cache-store';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { Stage } from '../support/stage.js';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** Runs something for 100 callers at once. */
export function hundred<T>(call: (i: number) => T | Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: 100 }, async (_, i) => call(i)));
}

/** What `ttl` answers for a record that got `ttl` ms just now; a slow machine may take a minute. */
export async function expectTtl(store: RedisCacheStore, key: string, ttl: number): Promise<void> {
  const left = await store.ttl(key);
  expect(left).toBeLessThanOrEqual(ttl);
  expect(left).toBeGreaterThan(ttl - MINUTE);
}

/** What the operations that sessions and tokens are built on promise. */
export function describeAuthOperations(open: () => Promise<Stage>): void {
  describe('auth operations', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    describe('take and putIfAbsent', () => {
      it('take gives the value and deletes the record; afterwards, as of an unknown key, it gives undefined', async () => {
        await store.put('token', { userId: 42 });
        expect(await store.take('token')).toEqual({ userId: 42 });
        expect(await store.has('token')).toBe(false);
        expect(await store.take('token')).toBeUndefined();
      });

      it('of 100 concurrent callers of take exactly one gets the value', async () => {
        await store.put('token', 'value');
        const taken = await hundred(() => store.take('token'));
        expect(taken.filter((value) => value !== undefined)).toEqual(['value']);
      });

      it('of 100 concurrent callers of putIfAbsent exactly one writes, and its value is there', async () => {
        const written = await hundred((i) => store.putIfAbsent('jti', i));
        expect(written.filter(Boolean)).toHaveLength(1);
        expect(await store.get('jti')).toBe(written.indexOf(true));
      });

      it('putIfAbsent changes nothing of a record that is there, and writes with ttl once it is gone', async () => {
        await store.put('jti', 'first', { ttl: '5m' });
        expect(await store.putIfAbsent('jti', 'second', { ttl: '3h' })).toBe(false);
        expect(await store.get('jti')).toBe('first');
        await stage.pass(6 * MINUTE);
        expect(await store.putIfAbsent('jti', 'third', { ttl: '3h' })).toBe(true);
        await expectTtl(store, 'jti', 3 * HOUR);
      });
    });

    describe('a record that is gone', () => {
      it.each<[string, () => Promise<unknown>]>([
        ['was never there', () => Promise.resolve()],
        ['was deleted', () => store.delete('key')],
        ['was taken', () => store.take('key')],
        ['has expired', () => stage.pass(2 * HOUR)],
        ['went with its tag', () => store.deleteByTag('user:42')],
        ['was cleared away', () => store.clear()],
      ])('does not come back by replace, touch, update or get with touch when it %s', async (_, remove) => {
        if (_ !== 'was never there') await store.put('key', 1, { tags: ['user:42'] });
        await remove();
        expect(await store.replace('key', 2)).toBe(false);
        expect(await store.replace('key', 2, { ttl: '1h', tags: ['user:42'] })).toBe(false);
        expect(await store.replace('key', 2, { tags: ['user:42'] })).toBe(false);
        expect(await store.touch('key')).toBe(false);
        expect(await store.touch('key', '2h')).toBe(false);
        expect(await store.update('key', () => 2)).toBeUndefined();
        expect(await store.get('key', { touch: true })).toBeUndefined();
        expect(await store.has('key')).toBe(false);
        expect(await store.keys()).toEqual([]);
        expect(await store.keys({ tag: 'user:42' })).toEqual([]);
      });

      it('stays gone when 100 callers replace, touch and update it while it is deleted', async () => {
        const tags = ['user:42'];
        for (const remove of [() => store.delete('key'), () => store.take('key'), () => store.deleteByTag('user:42')]) {
          await store.put('key', 0, { tags });
          const writers = hundred<unknown>((i) =>
            [
              () => store.replace('key', i),
              () => store.replace('key', i, { ttl: '2h', tags }),
              () => store.touch('key', '2h'),
              () => store.update('key', () => i),
            ][i % 4]?.(),
          );
          await remove();
          expect(await store.has('key')).toBe(false);
          await writers;
          expect(await store.has('key')).toBe(false);
        }
      });
    });

    describe('replace, touch and get with touch', () => {
      it('replace keeps the running ttl and the tags', async () => {
        await store.put('key', 1, { ttl: '3h', tags: ['user:42'] });
        await stage.pass(HOUR);
        expect(await store.replace('key', 2)).toBe(true);
        expect(await store.get('key')).toBe(2);
        await expectTtl(store, 'key', 2 * HOUR);
        expect(await store.keys({ tag: 'user:42' })).toEqual(['key']);
      });

      it('replace gives another ttl, none, or other tags where it is told to', async () => {
        await store.put('key', 1, { tags: ['user:42'] });
        expect(await store.replace('key', 2, { ttl: '5h' })).toBe(true);
        await expectTtl(store, 'key', 5 * HOUR);
        expect(await store.replace('key', 3, { tags: ['user:7'] })).toBe(true);
        await expectTtl(store, 'key', 5 * HOUR);
        expect([await store.keys({ tag: 'user:42' }), await store.keys({ tag: 'user:7' })]).toEqual([[], ['key']]);
        expect(await store.replace('key', 4, { ttl: null, tags: [] })).toBe(true);
        expect(await store.ttl('key')).toBeNull();
        expect(await store.keys({ tag: 'user:7' })).toEqual([]);
        expect(await store.replace('key', 5, { tags: ['user:7'] })).toBe(true);
        expect(await store.ttl('key')).toBeNull();
        expect(await store.get('key')).toBe(5);
      });

      it('of 100 concurrent replaces each writes, and the record is what one of them wrote', async () => {
        await store.put('key', -1);
        expect(await hundred((i) => store.replace('key', i))).toEqual(Array(100).fill(true));
        expect(await store.get<number>('key')).toBeGreaterThanOrEqual(0);
      });

      it('touch gives the record its own ttl again, however long that is, and keeps value and tags', async () => {
        await store.put('default', 1);
        await store.put('remembered', 1, { ttl: '720h', tags: ['user:42'] });
        await store.put('short', 1, { ttl: '5m' });
        await store.put('endless', 1, { ttl: null });
        await stage.pass(4 * MINUTE);
        for (const key of ['default', 'remembered', 'short', 'endless']) expect(await store.touch(key)).toBe(true);
        await expectTtl(store, 'default', HOUR);
        await expectTtl(store, 'remembered', 720 * HOUR);
        await expectTtl(store, 'short', 5 * MINUTE);
        expect(await store.ttl('endless')).toBeNull();
        expect([await store.get('remembered'), await store.keys({ tag: 'user:42' })]).toEqual([1, ['remembered']]);
      });

      it('touch gives the ttl that is asked for once, a shorter one too, and then again its own', async () => {
        await store.put('key', 1, { ttl: '2h', tags: ['user:42'] });
        for (const [ttl, expected] of [
          ['3h', 3 * HOUR],
          ['10m', 10 * MINUTE],
        ] as const) {
          expect(await store.touch('key', ttl)).toBe(true);
          await expectTtl(store, 'key', expected);
          expect(await store.touch('key')).toBe(true);
          await expectTtl(store, 'key', 2 * HOUR);
        }
        await store.put('endless', 1, { ttl: null });
        await store.touch('endless', '10m');
        await expectTtl(store, 'endless', 10 * MINUTE);
        await store.touch('endless');
        expect(await store.ttl('endless')).toBeNull();
      });

      it('get with touch gives the value and the record its own ttl again, or once the one asked for', async () => {
        await store.put('key', 1, { ttl: '5m' });
        await stage.pass(3 * MINUTE);
        expect(await store.get('key', { touch: false })).toBe(1);
        await expectTtl(store, 'key', 2 * MINUTE);
        expect(await store.get('key', { touch: true })).toBe(1);
        await expectTtl(store, 'key', 5 * MINUTE);
        expect(await store.get('key', { touch: '3h' })).toBe(1);
        await expectTtl(store, 'key', 3 * HOUR);
        expect(await store.get('key', { touch: true })).toBe(1);
        await expectTtl(store, 'key', 5 * MINUTE);
      });

      it('a ttl given by replace is the own ttl of the record from then on; update keeps the one there was', async () => {
        await store.put('key', 1, { ttl: '5m' });
        await store.update('key', () => 2);
        await store.touch('key');
        await expectTtl(store, 'key', 5 * MINUTE);
        await store.replace('key', 3, { ttl: '9h' });
        await store.touch('key', '1m');
        await store.replace('key', 4);
        await store.touch('key');
        await expectTtl(store, 'key', 9 * HOUR);
      });

      it('a store without a default ttl touches its records all the same', async () => {
        const endless = await stage.open();
        await endless.put('key', 1);
        await endless.put('brief', 1, { ttl: '5m' });
        await stage.pass(4 * MINUTE);
        expect([await endless.touch('key'), await endless.get('brief', { touch: true })]).toEqual([true, 1]);
        expect(await endless.ttl('key')).toBeNull();
        await expectTtl(endless, 'brief', 5 * MINUTE);
      });
    });

    describe('update', () => {
      const add = (current: number) => current + 1;

      it('loses none of 100 concurrent changes', async () => {
        await store.put('count', 0);
        const results = await hundred(() => store.update('count', add));
        expect(await store.get('count')).toBe(100);
        expect(new Set(results).size).toBe(100);
      });

      it('keeps ttl and tags', async () => {
        await store.put('count', 0, { ttl: '3h', tags: ['user:42'] });
        await stage.pass(HOUR);
        expect(await store.update('count', add)).toBe(1);
        await expectTtl(store, 'count', 2 * HOUR);
        expect(await store.keys({ tag: 'user:42' })).toEqual(['count']);
        await store.put('endless', 0, { ttl: null });
        await store.update('endless', add);
        expect(await store.ttl('endless')).toBeNull();
      });

      it('keeps a ttl that somebody extends while change runs', async () => {
        await store.put('count', 0, { tags: ['user:42'] });
        await store.update('count', async (current: number) => {
          await store.touch('count', '5h');
          return current + 1;
        });
        await expectTtl(store, 'count', 5 * HOUR);
      });

      it('gives undefined if the record is gone, without asking for a change', async () => {
        let asked = 0;
        expect(await store.update('count', () => ++asked)).toBeUndefined();
        expect(asked).toBe(0);
      });

      it('passes an error of change through with nothing written, and retries none', async () => {
        await store.put('count', 0);
        for (const fail of [() => Promise.reject(new RangeError('no')), () => thrower()]) {
          let asked = 0;
          const failing = store.update('count', () => {
            asked++;
            return fail();
          });
          await expect(failing).rejects.toThrow(RangeError);
          expect(asked).toBe(1);
        }
        await expect(store.update('count', () => undefined)).rejects.toThrow(CacheArgumentError);
        expect(await store.get('count')).toBe(0);
      });

      it('runs change again on what somebody else wrote meanwhile, ttl and tags of theirs included', async () => {
        await store.put('count', 0);
        const seen: number[] = [];
        const result = await store.update('count', async (current: number) => {
          if (seen.push(current) === 1) await store.put('count', 10, { ttl: '5h', tags: ['user:42'] });
          return current + 1;
        });
        expect([result, seen]).toEqual([11, [0, 10]]);
        await expectTtl(store, 'count', 5 * HOUR);
        expect(await store.keys({ tag: 'user:42' })).toEqual(['count']);
      });

      it('does not bring back a record that goes while change runs', async () => {
        await store.put('count', 0);
        const result = store.update('count', async (current: number) => {
          await store.delete('count');
          return current + 1;
        });
        expect(await result).toBeUndefined();
        expect(await store.has('count')).toBe(false);
      });

      it('retries on conflict within timeout, not beyond', async () => {
        const hasty = await stage.open({ timeout: 300 });
        await hasty.put('count', 0);
        let others = 0;
        const hopeless = hasty.update('count', async (current: number) => {
          await hasty.put('count', --others);
          return current + 1;
        });
        await expect(hopeless).rejects.toThrow(CacheUnavailableError);
        await expect(hopeless).rejects.toMatchObject({ reason: 'timeout' });
        expect(others).toBeLessThan(-1);
        expect(await hasty.get('count')).toBe(others);
      });
    });
  });
}

function thrower(): never {
  throw new RangeError('no');
}
