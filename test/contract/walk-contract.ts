import { inspect } from 'node:util';
import { CacheArgumentError, CacheCorruptError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { HOUR, MINUTE } from './auth-contract.js';
import { allOf } from './store-contract.js';

/** What a store promises of inspecting, walking, counting and clearing. */
export function describeWalks(open: () => Promise<Stage>): void {
  describe('inspect, records, count and clear', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    /** Whether keys and tags are hashed here. */
    const isHashed = () => stage.defaults.hashKeys === true;

    describe('inspect', () => {
      it('tells key, value, ttl, creation and tags of a record, and undefined of none', async () => {
        const before = Date.now();
        await store.put('key', { a: 1 }, { ttl: '2h', tags: ['x', 'y'] });
        const found = await store.inspect<{ a: number }>('key');
        expect(Object.keys(found ?? {}).toSorted()).toEqual(['createdAt', 'key', 'tags', 'ttl', 'value']);
        expect(found).toMatchObject({ key: 'key', value: { a: 1 } });
        expect(found?.ttl).toBeLessThanOrEqual(2 * HOUR);
        expect(found?.ttl).toBeGreaterThan(2 * HOUR - MINUTE);
        expect(Math.abs((found?.createdAt.getTime() ?? 0) - before)).toBeLessThan(MINUTE);
        expect(found?.tags).toHaveLength(2);
        if (!isHashed()) expect(found?.tags.toSorted()).toEqual(['x', 'y']);
        expect(await store.inspect('absent')).toBeUndefined();
      });

      it('does not extend a record of a sliding store, and tells of no tags and no ttl where there are none', async () => {
        const sliding = await stage.open({ ttl: '1h', sliding: true });
        await sliding.put('key', 1);
        await stage.pass(HOUR / 2);
        expect(await sliding.inspect('key')).toMatchObject({ tags: [] });
        expect(await sliding.ttl('key')).toBeLessThanOrEqual(HOUR / 2);
        await sliding.put('ever', 1, { ttl: null });
        expect(await sliding.inspect('ever')).toMatchObject({ ttl: null });
      });

      it('keeps the moment of creation over replace, update and touch, and a put begins anew', async () => {
        await store.put('key', 1);
        const created = (await store.inspect('key'))?.createdAt.getTime() ?? 0;
        await stage.pass(MINUTE);
        await store.replace('key', 2);
        await store.update('key', () => 3);
        await store.touch('key');
        expect((await store.inspect('key'))?.createdAt.getTime()).toBe(created);
        await store.put('key', 4);
        expect((await store.inspect('key'))?.createdAt.getTime()).toBeGreaterThan(created);
      });
    });

    describe('records', () => {
      it('are all that scan finds, each as inspect tells it', async () => {
        await store.putMany([
          ['a1', 1],
          ['a2', 2, { tags: ['t'] }],
          ['b1', 3, { tags: ['t'] }],
        ]);
        const found = async (options?: object) =>
          (await allOf(store.records(options))).map(({ key }) => key).toSorted();
        expect(await found()).toEqual(['a1', 'a2', 'b1']);
        expect(await found({ prefix: 'a' })).toEqual(['a1', 'a2']);
        expect(await found({ tag: 't' })).toEqual(['a2', 'b1']);
        expect(await found({ prefix: 'a', tag: 't' })).toEqual(['a2']);
        for await (const { ttl, ...record } of store.records()) {
          const { ttl: _, ...inspected } = (await store.inspect(record.key)) ?? {};
          expect(record).toEqual(inspected);
          expect(ttl).toBeGreaterThan(HOUR - MINUTE);
        }
      });

      it('leave out what is older than maxAge allows', async () => {
        const bounded = await stage.open({ maxAge: '1h' });
        await bounded.put('key', 1);
        await stage.pass(HOUR);
        expect(await allOf(bounded.records())).toEqual([]);
      });

      it('by a tag miss no record that is moved, or moved and moved back, while they are on their way', async () => {
        const numbers = Array.from({ length: 12 }, (_, i) => i);
        const walks = [() => store.entries({ tag: 't' }), () => store.records({ tag: 't' })];
        for (const options of [{}, { grace: '1m', leave: () => 'left' }]) {
          for (const walk of walks) {
            await store.clear();
            await store.putMany(
              numbers.map((i) => [`k${i}`, i]),
              { tags: ['t'] },
            );
            const seen = new Set<unknown>();
            for await (const item of walk()) {
              if (seen.size === 0) {
                for (const i of numbers) await store.move(`k${i}`, `m${i}`, options);
                if (!options.leave) for (const i of numbers.slice(6)) await store.move(`m${i}`, `k${i}`);
              }
              seen.add('value' in item ? item.value : item[1]);
            }
            expect(seen).toEqual(new Set(numbers));
          }
        }
      });
    });

    it('count counts the keys that scan gives', async () => {
      await store.putMany(Array.from({ length: 1200 }, (_, i) => [`a${i}`, i] as const));
      await store.putMany([['b1', 1], ['b2', 1], ['a', 1]], { tags: ['t'] }); // prettier-ignore
      expect(await store.count()).toBe(1203);
      expect(await store.count({ prefix: 'a' })).toBe(1201);
      expect(await store.count({ tag: 't' })).toBe(3);
      expect(await store.count({ prefix: 'b', tag: 't' })).toBe(2);
      expect(await store.count({ prefix: 'none' })).toBe(0);
      expect(await store.count({ tag: 'none' })).toBe(0);
    });

    describe('clear', () => {
      beforeEach(async () => {
        await store.putMany([['a1', 1], ['a2', 2], ['b1', 3]], { tags: ['t'] }); // prettier-ignore
        await store.putMany([['a3', 4], ['a*', 5], ['b2', 6]]); // prettier-ignore
        await Promise.all([store.increment('a1'), store.increment('b1')]);
      });

      it('with a prefix deletes the records and counters whose keys begin with it, taken literally', async () => {
        expect(await store.clear({ prefix: 'a*' })).toBe(1);
        expect(await store.clear({ prefix: 'a' })).toBe(3);
        expect(await store.keys()).toEqual(['b1', 'b2']);
        expect(await store.keys({ tag: 't' })).toEqual(['b1']);
        // A hash does not tell what the key began with.
        expect(await store.counter('a1')).toEqual(
          isHashed() ? { count: 1, ttl: expect.any(Number) as number } : undefined,
        );
        expect(await store.counter('b1')).toMatchObject({ count: 1 });
      });

      it('with a tag deletes the records that have it, and no counter', async () => {
        expect(await store.clear({ tag: 't' })).toBe(3);
        expect(await store.keys()).toEqual(['a*', 'a3', 'b2']);
        expect(await store.counter('a1')).toMatchObject({ count: 1 });
      });

      it('with both deletes the records that have both', async () => {
        expect(await store.clear({ prefix: 'a', tag: 't' })).toBe(2);
        expect(await store.keys()).toEqual(['a*', 'a3', 'b1', 'b2']);
      });

      it('with neither deletes all of them', async () => {
        expect(await store.clear({})).toBe(6);
        expect([await store.keys(), await store.counter('a1')]).toEqual([[], undefined]);
      });

      it.each([[{ prefix: 5 }], [{ tag: '' }], [{ tags: ['t'] }], ['a'], [null]])(
        'with %p is refused',
        async (wrong) => {
          await expect(store.clear(wrong as never)).rejects.toBeInstanceOf(CacheArgumentError);
          expect(await store.count()).toBe(6);
        },
      );
    });

    describe('a value that is no record', () => {
      /** Under the key of a record with a tag, so that walks of both kinds meet it. */
      const foreign: [string, (...command: string[]) => Promise<unknown>][] = [
        ['a text', (key = '') => stage.server.cli('SET', key, '{"cookie":{}}')],
        ['an empty text', (key = '') => stage.server.cli('SET', key, '')],
        [
          'a hash',
          async (key = '') => [await stage.server.cli('DEL', key), await stage.server.cli('HSET', key, 'a', '1')],
        ],
      ];

      it.each(foreign)(
        '(%s) is told with its key, or skipped, by walks over prefixes and tags alike',
        async (_, spoil) => {
          if (stage.servers.length !== 1) return expect(stage.servers).not.toHaveLength(1); // nobody else writes there
          await store.putMany([['good', 1], ['bad', 2]], { tags: ['t'] }); // prettier-ignore
          const redisKey = await redisKeyOf('bad');
          await spoil(redisKey);
          for (const options of [{}, { tag: 't' }, { prefix: isHashed() ? '' : 'b' }]) {
            for (const walk of [() => allOf(store.entries(options)), () => allOf(store.records(options))]) {
              const error: unknown = await walk().catch((reason: unknown) => reason);
              expect(error).toBeInstanceOf(CacheCorruptError);
              expect((error as CacheCorruptError).key).toBe(redisKey.slice(redisKey.indexOf(':') + 1));
              expect(Object.keys(error as object)).not.toContain('key');
            }
            const keys = async (walk: AsyncIterable<unknown>) => (await allOf(walk)).length;
            const expected = options.prefix === 'b' ? 0 : 1;
            expect(await keys(store.entries({ ...options, onCorrupt: 'skip' }))).toBe(expected);
            expect(await keys(store.records({ ...options, onCorrupt: 'skip' }))).toBe(expected);
          }
          expect(stage.warnings.filter((warning) => warning.includes('counts as absent'))).toEqual([]);
        },
      );

      it('is told with the key that the caller gave, which neither inspect nor JSON shows', async () => {
        if (stage.servers.length !== 1) return expect(stage.servers).not.toHaveLength(1);
        for (const tenant of [store, store.scope('tenant')]) {
          await tenant.put('canary', 1, { tags: ['t'] });
          const redisKey = await redisKeyOf('canary', tenant);
          await stage.server.cli('SET', redisKey, 'foreign');
          const calls: (() => Promise<unknown>)[] = [
            () => tenant.get('canary'),
            () => tenant.get('canary', { touch: true }),
            () => tenant.getMany(['absent', 'canary']),
            () => tenant.getOrPut('canary', () => 1),
            () => tenant.replace('canary', 1),
            () => tenant.update('canary', () => 1),
            () => tenant.touch('canary'),
            () => tenant.inspect('canary'),
            () => tenant.deleteIf('canary', () => true),
            () => tenant.move('canary', 'other'),
            () => tenant.take('canary'), // the last, since it deletes what it can read
          ];
          for (const call of calls) {
            const error: unknown = await call().catch((reason: unknown) => reason);
            expect([String(call), error]).toEqual([String(call), expect.any(CacheCorruptError)]);
            expect([String(call), (error as CacheCorruptError).key]).toEqual([String(call), 'canary']);
            const shown = inspect(error, { showHidden: true, depth: null }) + JSON.stringify(error) + String(error);
            expect(shown.replaceAll(/^\s*at .*$/gm, '')).not.toContain('canary');
          }
          await stage.server.cli('DEL', redisKey);
        }
      });

      it('is skipped by walks of a store that takes it for absent, unless the walk says throw', async () => {
        if (stage.servers.length !== 1) return expect(stage.servers).not.toHaveLength(1);
        store = await stage.open({ ttl: '1h', onCorrupt: 'miss' });
        await store.putMany([['good', 1], ['bad', 2]], { tags: ['t'] }); // prettier-ignore
        await foreign[0]?.[1](await redisKeyOf('bad'));
        for (const options of [{}, { tag: 't' }]) {
          expect(await allOf(store.entries(options))).toEqual([['good', 1]]);
          await expect(allOf(store.entries({ ...options, onCorrupt: 'throw' }))).rejects.toBeInstanceOf(
            CacheCorruptError,
          );
        }
      });

      it.each([['ignore'], ['miss'], [true], [null]])('cannot be treated as %p says', async (onCorrupt) => {
        await expect(allOf(store.entries({ onCorrupt: onCorrupt as 'skip' }))).rejects.toBeInstanceOf(
          CacheArgumentError,
        );
      });

      /** Where a record lies, from the difference that it makes. */
      async function redisKeyOf(key: string, owner = store): Promise<string> {
        const list = async () => (await stage.server.cli('KEYS', `${store.namespace}:*`)) as string[];
        const before = await list();
        const value = await owner.take(key);
        const after = new Set(await list());
        await owner.put(key, value, { tags: ['t'] });
        return String(before.find((each) => !after.has(each)));
      }
    });
  });
}
