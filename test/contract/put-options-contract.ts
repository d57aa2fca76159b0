import { CacheArgumentError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { expectTtl, HOUR, MINUTE } from './auth-contract.js';

/** What the options of a writing call mean. */
export function describePutOptions(open: () => Promise<Stage>): void {
  describe('options of writing calls', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    describe('value and options', () => {
      type Options = { ttl?: number; tags: string[] };
      type Value = { a: number };
      const writers: [string, (value: Value, options: Options) => Promise<unknown>][] = [
        ['put', (value, options) => store.put('key', value, options)],
        ['putMany', (value, options) => store.putMany([['key', value]], options)],
        ['putMany, of one record', (value, options) => store.putMany([['key', value, options]])],
        ['putIfAbsent', (value, options) => store.putIfAbsent('absent', value, options)],
        ['replace', (value, options) => store.replace('key', value, options)],
        ['update', (_, options) => store.update('key', () => ({ a: 1 }), options)],
        ['getOrPut', (_, options) => store.getOrPut('absent', () => ({ a: 1 }), options)],
        ['move', (_, options) => store.move('key', 'absent', options)],
      ];

      it.each(writers)('of a %s are those of the moment of the call', async (call, write) => {
        const key = ['putIfAbsent', 'getOrPut', 'move'].includes(call) ? 'absent' : 'key';
        await store.put('key', { a: 1 }, { tags: ['before'] });
        const [value, options]: [Value, Options] = [{ a: 1 }, { ttl: 2 * HOUR, tags: ['given'] }];
        const written = write(value, options);
        value.a = 2;
        options.ttl = 5 * HOUR;
        options.tags.splice(0, 1, 'later');
        await written;
        expect(await store.get(key)).toEqual({ a: 1 });
        await expectTtl(store, key, 2 * HOUR);
        expect(await Promise.all(['given', 'later'].map((tag) => store.keys({ tag })))).toEqual([[key], []]);
      });
    });

    describe('expiresAt', () => {
      const later = () => Date.now() + 10 * MINUTE;
      /** Every call that takes options, on a record that is there or not, as the call needs it. */
      const writers: [string, (options: { expiresAt: Date | number; tags?: string[] }) => Promise<unknown>][] = [
        ['put', (options) => store.put('key', 'new', options)],
        ['putMany', (options) => store.putMany([['key', 'new']], options)],
        ['putMany, of one record', (options) => store.putMany([['key', 'new', options]], { ttl: '5h' })],
        ['putIfAbsent', async (options) => [await store.delete('key'), await store.putIfAbsent('key', 'new', options)]],
        ['replace', (options) => store.replace('key', 'new', options)],
        ['update', (options) => store.update('key', () => 'new', options)],
        ['getOrPut', async (options) => [await store.delete('key'), await store.getOrPut('key', () => 'new', options)]],
      ];

      it.each(writers)('is when the record of a %s expires, given as a Date or as a number', async (_, write) => {
        for (const expiresAt of [later(), new Date(later())]) {
          await store.put('key', 'old');
          await write({ expiresAt });
          expect(await store.get('key')).toBe('new');
          await expectTtl(store, 'key', 10 * MINUTE);
        }
        await stage.pass(10 * MINUTE);
        expect(await store.has('key')).toBe(false);
      });

      it.each(writers)('in the past lets a %s leave no record, be it tagged or not', async (_, write) => {
        for (const expiresAt of [Date.now() - 1, new Date(Date.now() - HOUR), new Date(-8.64e15), 0]) {
          for (const tags of [undefined, ['tag']]) {
            await store.put('key', 'old', { tags: ['before'] });
            await write({ expiresAt, ...(tags && { tags }) });
            expect(await store.has('key')).toBe(false);
            expect(await store.get('key')).toBeUndefined();
            expect(await store.keys({ tag: 'tag' })).toEqual([]);
            expect(await store.keys({ tag: 'before' })).toEqual([]);
          }
        }
      });

      it.each(writers)('of a %s is moved neither by a touch without a ttl nor by a sliding read', async (_, write) => {
        const sliding = (store = await stage.open({ ttl: '1h', sliding: true }));
        await sliding.put('key', 'old');
        await write({ expiresAt: later() });
        await stage.pass(5 * MINUTE);
        expect(await sliding.touch('key')).toBe(true);
        expect(await sliding.get('key', { touch: true })).toBe('new');
        expect(await sliding.get('key')).toBe('new');
        await expectTtl(sliding, 'key', 5 * MINUTE);
      });

      it('is moved once by a touch that says a ttl', async () => {
        await store.put('key', 1, { expiresAt: later() });
        expect(await store.touch('key', '3h')).toBe(true);
        await expectTtl(store, 'key', 3 * HOUR);
        await stage.pass(HOUR);
        await store.touch('key');
        await expectTtl(store, 'key', 2 * HOUR);
      });

      it('stays where it is when the value is replaced or updated, and gives way to a ttl that is said', async () => {
        await store.put('key', 1, { expiresAt: later() });
        await store.replace('key', 2);
        await store.update('key', () => 3);
        await store.touch('key');
        await expectTtl(store, 'key', 10 * MINUTE);
        await store.update('key', () => 4, { ttl: '2h' });
        await stage.pass(HOUR);
        await store.touch('key');
        await expectTtl(store, 'key', 2 * HOUR);
      });

      it('does not go beyond maxAge', async () => {
        const bounded = await stage.open({ ttl: '1h', maxAge: '2h' });
        await bounded.put('key', 1, { expiresAt: Date.now() + 5 * HOUR });
        await expectTtl(bounded, 'key', 2 * HOUR);
      });

      it('of a tagged record keeps the record under its tags until then', async () => {
        await store.put('key', 1, { expiresAt: later(), tags: ['tag'] });
        await stage.pass(9 * MINUTE);
        expect(await store.keys({ tag: 'tag' })).toEqual(['key']);
        await stage.pass(MINUTE);
        expect(await store.keys({ tag: 'tag' })).toEqual([]);
      });

      it('is refused in seconds, out of range and as anything but a moment', async () => {
        const seconds = Math.floor(Date.now() / 1000) + 3600;
        await expect(store.put('key', 1, { expiresAt: seconds })).rejects.toThrow('1000 times as much');
        for (const expiresAt of [NaN, Infinity, -1e16, 1e16, new Date(NaN), '2030-01-01', true, null] as never[]) {
          await expect(store.put('key', 1, { expiresAt })).rejects.toBeInstanceOf(CacheArgumentError);
        }
        expect(await store.has('key')).toBe(false);
      });

      it('beside a ttl is refused, also where the ttl is null', async () => {
        for (const ttl of ['1h', null]) {
          const options = { ttl, expiresAt: later() };
          await expect(store.put('key', 1, options)).rejects.toBeInstanceOf(CacheArgumentError);
          await expect(store.put('key', 1, options)).rejects.toThrow('leave out one of them');
        }
        expect(await store.has('key')).toBe(false);
      });
    });

    describe('putMany', () => {
      it('takes options of each record, which go before those of the call, one by one', async () => {
        await store.putMany(
          [
            ['both', 1],
            ['own ttl', 2, { ttl: '3h' }],
            ['own tags', 3, { tags: ['own'] }],
            ['own end', 4, { expiresAt: Date.now() + 5 * HOUR }],
            ['endless', 5, { ttl: null, tags: [] }],
            ['undefined', 6, { ttl: undefined, tags: undefined } as object],
          ],
          { ttl: '2h', tags: ['call'] },
        );
        await expectTtl(store, 'both', 2 * HOUR);
        await expectTtl(store, 'own ttl', 3 * HOUR);
        await expectTtl(store, 'own tags', 2 * HOUR);
        await expectTtl(store, 'own end', 5 * HOUR);
        await expectTtl(store, 'undefined', 2 * HOUR);
        expect(await store.ttl('endless')).toBeNull();
        expect(await store.keys({ tag: 'own' })).toEqual(['own tags']);
        expect(await store.keys({ tag: 'call' })).toEqual(['both', 'own end', 'own ttl', 'undefined']);
      });

      it('lets a ttl of a record go before an end of the call', async () => {
        await store.putMany([['key', 1, { ttl: '3h' }]], { expiresAt: Date.now() + HOUR });
        await expectTtl(store, 'key', 3 * HOUR);
        await stage.pass(HOUR);
        await store.touch('key');
        await expectTtl(store, 'key', 3 * HOUR);
      });

      it('writes nothing if the options of one record are wrong', async () => {
        const wrong = { ttl: 'soon' };
        await expect(store.putMany([['a', 1], ['b', 2, wrong]])).rejects.toBeInstanceOf(CacheArgumentError); // prettier-ignore
        expect(await store.keys()).toEqual([]);
      });
    });
  });
}
