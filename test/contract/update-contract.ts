import { setTimeout as sleep } from 'node:timers/promises';
import { CacheArgumentError, CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { gate } from '../support/gate.js';
import type { Stage } from '../support/stage.js';
import { expectTtl, HOUR, hundred } from './auth-contract.js';

/** What a store promises of updates and of conditional deletes. */
export function describeUpdates(open: () => Promise<Stage>): void {
  describe('updates', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    describe('update', () => {
      it('applies a ttl and tags in the step that writes the value', async () => {
        await store.put('key', 1, { tags: ['a', 'b'] });
        expect(await store.update<number>('key', (n) => n + 1, { ttl: '3h', tags: ['b', 'c'] })).toBe(2);
        await expectTtl(store, 'key', 3 * HOUR);
        expect(await Promise.all(['a', 'b', 'c'].map((tag) => store.keys({ tag })))).toEqual([[], ['key'], ['key']]);
        expect(await store.update<number>('key', (n) => n + 1, { ttl: null })).toBe(3);
        expect(await store.ttl('key')).toBeNull();
        expect(await store.keys({ tag: 'c' })).toEqual(['key']);
      });

      it('keeps ttl and tags without options, and with empty ones', async () => {
        await store.put('key', 1, { ttl: '3h', tags: ['a'] });
        await stage.pass(HOUR);
        await store.update<number>('key', (n) => n + 1);
        await store.update<number>('key', (n) => n + 1, {});
        expect(await store.get('key')).toBe(3);
        await expectTtl(store, 'key', 2 * HOUR);
        expect(await store.keys({ tag: 'a' })).toEqual(['key']);
      });

      it('creates nothing with options either', async () => {
        expect(await store.update('key', () => 1, { ttl: '1h', tags: ['a'] })).toBeUndefined();
        expect(await store.keys()).toEqual([]);
        expect(await store.keys({ tag: 'a' })).toEqual([]);
      });

      it('runs `change` once for each of 400 concurrent calls of a process', async () => {
        await store.put('key', 0);
        let changes = 0;
        const update = () => store.update<number>('key', (n) => (changes++, n + 1));
        const results = await Promise.all(Array.from({ length: 400 }, update));
        expect(new Set(results).size).toBe(400);
        expect([await store.get('key'), changes]).toEqual([400, 400]);
      });

      it('lets updates of other keys pass one that takes long', async () => {
        await store.putMany([
          ['slow', 0],
          ['fast', 0],
        ]);
        const held = gate<number>();
        const slow = store.update<number>('slow', () => held.promise);
        expect(await store.update<number>('fast', (n) => n + 1)).toBe(1);
        held.open(5);
        expect(await slow).toBe(5);
      });

      it('goes on with the next call after one whose `change` threw', async () => {
        await store.put('key', 0);
        const failing = store.update('key', () => Promise.reject(new Error('mine')));
        const next = store.update<number>('key', (n) => n + 1);
        await expect(failing).rejects.toThrow('mine');
        expect(await next).toBe(1);
      });

      it('rejects with not-sent if the turn of a call does not come within its timeout', async () => {
        const hasty = await stage.open({ timeout: '150ms' });
        await hasty.put('key', 0);
        const held = gate<number>();
        const slow = hasty.update<number>('key', () => held.promise);
        const waiting = hasty.update<number>('key', (n) => n + 1);
        await expect(waiting).rejects.toBeInstanceOf(CacheUnavailableError);
        await expect(waiting).rejects.toMatchObject({ reason: 'timeout', outcome: 'not-sent' });
        held.open(5);
        expect(await slow).toBe(5);
        expect(await hasty.update<number>('key', (n) => n + 1)).toBe(6);
      });

      it('of a key inside an update of the same key rejects at once, whatever lies between', async () => {
        await store.putMany([
          ['key', 0],
          ['other', 0],
        ]);
        const inside = async () => {
          const nested = store.update<number>('key', (n) => n + 1);
          await expect(nested).rejects.toBeInstanceOf(CacheArgumentError);
          await expect(nested).rejects.toThrow('would wait for itself');
          return 7;
        };
        expect(await store.update('key', inside)).toBe(7);
        expect(await store.update('key', () => store.update<number>('other', inside).then(Number))).toBe(7);
        expect(await store.get('other')).toBe(7);
      });

      it('of a key after an update of the same key is none inside of it, though its `change` began it', async () => {
        await store.put('key', 0);
        const over = gate();
        let later: Promise<number | undefined> | undefined;
        await store.update<number>('key', (n) => {
          later = over.promise.then(() => store.update<number>('key', (m) => m + 1));
          return n + 1;
        });
        over.open();
        expect(await later).toBe(2);
      });
    });

    describe('deleteIf', () => {
      it('deletes a record that passes the test, and no other', async () => {
        await store.put('key', { owner: 'a' }, { tags: ['tag'] });
        expect(await store.deleteIf<{ owner: string }>('key', ({ owner }) => owner === 'b')).toBe(false);
        expect(await store.get('key')).toEqual({ owner: 'a' });
        expect(await store.deleteIf<{ owner: string }>('key', async ({ owner }) => owner === 'a')).toBe(true);
        expect(await store.has('key')).toBe(false);
        expect(await store.keys({ tag: 'tag' })).toEqual([]);
      });

      it('does not ask the test about a record that is not there', async () => {
        let asked = 0;
        expect(await store.deleteIf('key', () => ++asked > 0)).toBe(false);
        expect(asked).toBe(0);
      });

      it('tests again what was changed meanwhile, and leaves what does not pass any more', async () => {
        await store.put('key', 1);
        const seen: unknown[] = [];
        const isOne = async (value: unknown) => {
          seen.push(value);
          if (seen.length === 1) await store.put('key', 2);
          return value === 1;
        };
        expect(await store.deleteIf('key', isOne)).toBe(false);
        expect(seen).toEqual([1, 2]);
        expect(await store.get('key')).toBe(2);
      });

      it('deletes what was changed meanwhile and still passes', async () => {
        await store.put('key', 1);
        let asked = 0;
        const test = async () => {
          if (++asked === 1) await store.update('key', () => 2);
          return true;
        };
        expect(await store.deleteIf('key', test)).toBe(true);
        expect([asked, await store.has('key')]).toEqual([2, false]);
      });

      it('does not bring the record back if it goes meanwhile', async () => {
        await store.put('key', 1);
        expect(await store.deleteIf('key', () => store.delete('key'))).toBe(false);
        expect(await store.has('key')).toBe(false);
      });

      it('lets an error of the test through and deletes nothing', async () => {
        await store.put('key', 1);
        const failing = () => {
          throw new Error('mine');
        };
        await expect(store.deleteIf('key', failing)).rejects.toThrow('mine');
        expect(await store.get('key')).toBe(1);
      });

      it('gives true to one of 100 concurrent callers', async () => {
        await store.put('key', 1);
        const deleted = await hundred(() => store.deleteIf('key', () => true));
        expect(deleted.filter(Boolean)).toHaveLength(1);
      });
    });

    // One test for all, since it has to wait.
    it('the time that the callbacks of update, deleteIf and move take, and a schema, does not count', async () => {
      const hasty = await stage.open({ timeout: '500ms' });
      let isSlow = false;
      const validate = (value: unknown) => (isSlow ? sleep(800, { value }) : { value });
      const schema = { '~standard': { version: 1, vendor: 'test', validate } } as const;
      const patient = await stage.open({ timeout: '500ms', ttl: '1h', sliding: true, nearCache: true, schema });
      await patient.putMany(['touched', 'slid', 'moved'].map((key) => [key, 1]));
      await patient.touch('slid', '30m');
      isSlow = true;
      await hasty.putMany(['updated', 'contested', 'deleted', 'old', 'left'].map((key) => [key, 0]));
      const slowly = <T>(value: T) => sleep(800, value);
      let others = 10;
      const contested = async (n: number) => {
        if (n < 12) await hasty.put('contested', ++others); // in the way of the first attempts
        return sleep(300, n + 1);
      };
      const done = Promise.all([
        hasty.update<number>('updated', (n) => slowly(n + 1)),
        hasty.update<number>('contested', contested),
        hasty.deleteIf('deleted', () => slowly(true)),
        hasty.move<number>('old', 'new', { change: (n) => slowly(n + 2) }),
        hasty.move<number>('left', 'far', { grace: '1m', leave: (n) => slowly(n + 3) }),
        patient.get('touched', { touch: '3h' }),
        patient.get('slid'),
        patient.move('moved', 'there'),
      ]);
      expect(await done).toEqual([1, 13, true, 2, 0, 1, 1, 1]);
      await expectTtl(patient, 'touched', 3 * HOUR);
      await expectTtl(patient, 'slid', HOUR);
      expect(await hasty.get('left')).toBe(3);
      expect(await hasty.getMany(['updated', 'contested', 'deleted', 'old', 'new'])).toEqual([
        1,
        13,
        undefined,
        undefined,
        2,
      ]);
    });
  });
}
