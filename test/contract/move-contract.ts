import { setTimeout as sleep } from 'node:timers/promises';
import { CacheArgumentError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { expectTtl, HOUR, hundred, MINUTE } from './auth-contract.js';
import { allOf } from './store-contract.js';

/** What a store promises of moves. */
export function describeMoves(open: () => Promise<Stage>): void {
  describe('move', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    it('gives the value under the new key and keeps value, tags, ttl left and creation', async () => {
      await store.put('old', { a: new Date(5) }, { ttl: '3h', tags: ['x', 'y'] });
      const before = await store.inspect('old');
      await stage.pass(HOUR);
      expect(await store.move('old', 'new')).toEqual({ a: new Date(5) });
      expect(await store.has('old')).toBe(false);
      expect(await store.inspect('new')).toMatchObject({ ...before, key: 'new', ttl: expect.any(Number) as number });
      await expectTtl(store, 'new', 2 * HOUR);
      for (const tag of ['x', 'y']) expect(await store.keys({ tag })).toEqual(['new']);
    });

    it('keeps the own ttl of the record, a fixed end, and eternity', async () => {
      await store.putMany([
        ['own', 1, { ttl: '3h', tags: ['t'] }],
        ['end', 2, { expiresAt: Date.now() + 3 * HOUR }],
        ['ever', 3, { ttl: null, tags: ['t'] }],
      ]);
      await stage.pass(HOUR);
      for (const key of ['own', 'end', 'ever']) await store.move(key, `${key} moved`);
      for (const key of ['own', 'end']) await store.touch(`${key} moved`);
      await expectTtl(store, 'own moved', 3 * HOUR);
      await expectTtl(store, 'end moved', 2 * HOUR);
      expect(await store.ttl('ever moved')).toBeNull();
      expect(await store.keys({ tag: 't' })).toEqual(['ever moved', 'own moved']);
    });

    it('changes the value, the ttl and the tags on the way', async () => {
      await store.put('old', 1, { ttl: '3h', tags: ['x', 'y'] });
      const options = { change: async (n: number) => n + 1, ttl: '5h', tags: ['y', 'z'] };
      expect(await store.move<number>('old', 'new', options)).toBe(2);
      expect(await store.get('new')).toBe(2);
      await expectTtl(store, 'new', 5 * HOUR);
      await stage.pass(HOUR);
      await store.touch('new');
      await expectTtl(store, 'new', 5 * HOUR);
      expect(await Promise.all(['x', 'y', 'z'].map((tag) => store.keys({ tag })))).toEqual([[], ['new'], ['new']]);
      expect(await store.move('new', 'ever', { ttl: null, tags: [] })).toBe(2);
      expect([await store.ttl('ever'), await store.keys({ tag: 'y' })]).toEqual([null, []]);
    });

    it('lets a walk that is on its way come to the record, also if it is to live shorter than before', async () => {
      const first = Array.from({ length: 600 }, (_, i) => [`first ${i}`, i] as const);
      await store.putMany(first, { tags: ['x'] });
      await store.put('old', 1, { ttl: '2h', tags: ['x'] });
      const seen: string[] = [];
      for await (const key of store.scan({ tag: 'x' })) {
        if (seen.push(key) === 1) await store.move('old', 'new', { ttl: '1m' });
      }
      expect(seen).toHaveLength(601);
      expect(seen).toContain('new');
    });

    it('does not let a record get older than maxAge', async () => {
      const bounded = await stage.open({ ttl: '1h', maxAge: '3h' });
      await bounded.put('old', 1);
      await stage.pass(HOUR / 2);
      await bounded.move('old', 'new', { ttl: '9h' });
      await expectTtl(bounded, 'new', 2.5 * HOUR);
    });

    it('gives undefined for a record that is not there, or is too old, and writes nothing', async () => {
      expect(await store.move('old', 'new', { change: () => 1, tags: ['t'], grace: '1m' })).toBeUndefined();
      expect([await store.keys(), await store.keys({ tag: 't' })]).toEqual([[], []]);
    });

    it('refuses a key that is taken, or is the same, and changes nothing', async () => {
      await store.put('old', 1, { ttl: '2h', tags: ['t'] });
      await store.put('new', 2, { tags: ['t'] });
      for (const to of ['new', 'old']) {
        const move = store.move('old', to, { change: () => 3, grace: '1m', tags: ['other'] });
        await expect(move).rejects.toBeInstanceOf(CacheArgumentError);
        await expect(move).rejects.toThrow(/^to: /);
      }
      expect(await store.getMany(['old', 'new'])).toEqual([1, 2]);
      await expectTtl(store, 'old', 2 * HOUR);
      expect([await store.keys({ tag: 't' }), await store.keys({ tag: 'other' })]).toEqual([['new', 'old'], []]);
    });

    it('lets one of 100 callers with keys of their own win, and leaves nothing of the others', async () => {
      await store.put('old', 1, { tags: ['t'] });
      const moved = await hundred((i) => store.move('old', `new ${i}`));
      expect(moved.filter((value) => value !== undefined)).toEqual([1]);
      const winner = `new ${moved.indexOf(1)}`;
      expect([await store.keys(), await store.keys({ tag: 't' })]).toEqual([[winner], [winner]]);
      await expectTtl(store, winner, HOUR);
    });

    it('lets one of 100 callers with one key win; the others hear that it is taken, or that the record is gone', async () => {
      await store.put('old', 1);
      const settled = await Promise.allSettled(Array.from({ length: 100 }, () => store.move('old', 'new')));
      const values = settled.flatMap((each) =>
        each.status === 'fulfilled' && each.value !== undefined ? [each.value] : [],
      );
      expect(values).toEqual([1]);
      for (const each of settled)
        if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(CacheArgumentError);
      expect(await store.keys()).toEqual(['new']);
    });

    it('moves what the record says now if it was changed meanwhile', async () => {
      await store.put('old', 1);
      const seen: number[] = [];
      const change = async (n: number) => {
        seen.push(n);
        if (seen.length === 1) await store.update<number>('old', () => 10);
        return n + 1;
      };
      expect(await store.move<number>('old', 'new', { change })).toBe(11);
      expect([seen, await store.keys()]).toEqual([[1, 10], ['new']]);
    });

    it('gives undefined, and leaves nothing, if the record goes meanwhile', async () => {
      await store.put('old', 1, { tags: ['t'] });
      expect(await store.move('old', 'new', { change: async () => (await store.delete('old')) && 2 })).toBeUndefined();
      expect([await store.keys(), await store.keys({ tag: 't' })]).toEqual([[], []]);
    });

    it('lets an error of change through and changes nothing', async () => {
      await store.put('old', 1);
      const change = () => Promise.reject(new Error('mine'));
      await expect(store.move('old', 'new', { change })).rejects.toThrow('mine');
      expect(await store.keys()).toEqual(['old']);
    });

    describe('with a grace', () => {
      beforeEach(async () => {
        store = await stage.open({ ttl: '1h', sliding: true });
        await store.put('old', 1, { tags: ['t'] });
        expect(await store.move<number>('old', 'new', { change: (n) => n + 1, grace: '10m' })).toBe(2);
      });

      it('the old key stays readable for so long, with its old value, and no longer, whoever touches it', async () => {
        const extend: (() => Promise<unknown>)[] = [
          () => store.touch('old'),
          () => store.touch('old', '5h'),
          () => store.get('old', { touch: true }),
          () => store.get('old', { touch: '5h' }),
          () => store.get('old'),
          () => store.replace('old', 1, { ttl: '5h' }),
          () => store.replace('old', 1, { ttl: null, tags: ['t'] }),
          () => store.update('old', () => 1, { expiresAt: Date.now() + 5 * HOUR }),
        ];
        for (const act of extend) {
          await stage.pass(MINUTE);
          expect(await store.get('old')).toBe(1);
          await act();
        }
        await expectTtl(store, 'old', 2 * MINUTE);
        await stage.pass(2 * MINUTE);
        expect(await store.has('old')).toBe(false);
        expect(await store.get('new')).toBe(2);
        expect(await store.keys({ tag: 't' })).toEqual(['new']);
      });

      it('the old key is absent afterwards although Redis was told to keep it', async () => {
        for (const server of stage.servers) {
          for (const key of (await server.cli('KEYS', '*')) as string[]) await server.cli('PERSIST', key);
        }
        await stage.pass(10 * MINUTE);
        expect(await store.get('old')).toBeUndefined();
        expect(await store.getMany(['old'])).toEqual([undefined]);
        expect(await store.inspect('old')).toBeUndefined();
        expect((await allOf(store.entries())).map(([key]) => key)).not.toContain('old');
        expect(await store.putIfAbsent('old', 3)).toBe(true);
      });

      it('the old key cannot be moved again, and the new one can', async () => {
        expect(await store.move('old', 'again')).toBeUndefined();
        expect(await store.move('new', 'again', { grace: '5m' })).toBe(2);
        expect(await store.getMany(['old', 'new', 'again'])).toEqual([1, 2, 2]);
      });

      it('a deleteByTag reaches both keys', async () => {
        expect(await store.deleteByTag('t')).toBe(2);
        expect(await store.keys()).toEqual([]);
      });

      it('is no longer than the record had left', async () => {
        await store.put('brief', 1, { ttl: '3m' });
        await store.move('brief', 'moved', { grace: '10m' });
        await expectTtl(store, 'brief', 3 * MINUTE);
      });
    });

    it('and a deleteByTag at any moment leave no record that was acknowledged before, and none in the end', async () => {
      for (let round = 0; round < 40; round++) {
        const acknowledged = ['key 0'];
        await store.put('key 0', 1, { tags: ['t'] });
        const options = round % 2 ? { grace: '1m' } : {};
        const moves = (async () => {
          for (let i = 0; (await store.move(`key ${i}`, `key ${i + 1}`, options)) !== undefined; i++) {
            acknowledged.push(`key ${i + 1}`);
          }
        })();
        await sleep(round % 8);
        await store.deleteByTag('t');
        const found = await store.getMany([...acknowledged]);
        expect(found.filter((value) => value !== undefined)).toEqual([]);
        await moves;
        expect([await store.keys(), await store.keys({ tag: 't' })]).toEqual([[], []]);
      }
    });

    it('is refused with wrong arguments', async () => {
      await store.put('old', 1);
      const wrong = [
        { ttl: 0 },
        { tags: 't' },
        { grace: 0 },
        { grace: '10' },
        { grace: null },
        { change: 5 },
        { expiresAt: 5 },
        5,
        null,
      ];
      for (const options of wrong) {
        await expect(store.move('old', 'new', options as object)).rejects.toBeInstanceOf(CacheArgumentError);
      }
      for (const key of ['', 5, undefined]) {
        await expect(store.move('old', key as string)).rejects.toBeInstanceOf(CacheArgumentError);
        await expect(store.move(key as string, 'new')).rejects.toBeInstanceOf(CacheArgumentError);
      }
      expect(await store.keys()).toEqual(['old']);
    });
  });
}
