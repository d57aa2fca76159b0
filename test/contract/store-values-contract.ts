import * as fc from 'fast-check';
import { CacheArgumentError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { isSame, keys, values } from '../support/arbitraries.js';
import { allOf } from './store-contract.js';

interface Stores {
  /** With the default serializer. */
  store: RedisCacheStore;
  json: RedisCacheStore;
  raw: RedisCacheStore;
}

/** The part of the contract about what is stored. */
export function describeValues(stores: () => Stores): void {
  describe('values', () => {
    it('come back as they went in, under any key', async () => {
      const { store } = stores();
      await fc.assert(
        fc.asyncProperty(keys, values, async (key, value) => {
          await store.put(key, value);
          return isSame(await store.get(key), value) && (await store.has(key));
        }),
        { numRuns: 300 },
      );
    });

    it('come back each under its own key', async () => {
      const { store } = stores();
      await store.clear();
      const records = fc.uniqueArray(fc.tuple(keys, values), { selector: ([key]) => key, maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(records, async (all) => {
          await store.putMany(all);
          const names = all.map(([key]) => key);
          const got = await store.getMany(names);
          const listed = new Map(await allOf(store.entries()));
          return (
            isSame(
              got,
              all.map(([, value]) => value),
            ) &&
            isSame(await store.keys(), names.toSorted()) &&
            all.every(([key, value]) => isSame(listed.get(key), value)) &&
            (await store.clear()) === all.length
          );
        }),
        { numRuns: 60 },
      );
    });

    const kinds: [string, unknown][] = [
      ['a Date', new Date(1e12 + 1)],
      ['a Map', new Map<unknown, unknown>([[{ a: 1 }, new Set([1n])]])],
      ['a Set', new Set([new Date(0), 'a'])],
      ['a BigInt', -(2n ** 200n)],
      ['a Buffer', Buffer.from([0, 255, 0xc1])],
      ['a RegExp', /^\d+$/gimsuy],
      ['NaN', Number.NaN],
      ['Infinity', -Infinity],
      ['null', null],
      ['false', false],
      ['an empty text', ''],
      ['undefined inside an object', { a: undefined }],
      ['undefined inside an array', [undefined, 1]],
      ['an own __proto__', JSON.parse('{"__proto__":{"admin":true},"list":[{"__proto__":1}]}')],
    ];
    it.each(kinds)('may be %s', async (_, value) => {
      const { store } = stores();
      await store.put('key', value);
      const found = await store.get('key');
      expect(isSame(found, value)).toBe(true);
      expect(Object.getPrototypeOf(found ?? {})).toBe(Object.getPrototypeOf(value ?? {}));
    });

    it('may be an invalid Date', async () => {
      const { store } = stores();
      await store.put('key', new Date(NaN));
      const found = await store.get<Date>('key');
      expect([found?.constructor.name, found?.getTime()]).toEqual(['Date', NaN]);
    });

    const typedArrays = [
      Int8Array,
      Uint8ClampedArray,
      Int16Array,
      Uint16Array,
      Int32Array,
      Uint32Array,
      Float32Array,
      Float64Array,
      BigInt64Array,
      BigUint64Array,
    ] as unknown as (typeof Uint8Array)[];
    it.each(typedArrays)('may be a %p', async (kind) => {
      const { store } = stores();
      const array = new kind(Uint8Array.from({ length: 32 }, (_, i) => i * 37).buffer, 8, 2);
      // Under Jest the global classes are not those of Node, which msgpackr looks for and a clone has.
      await store.put('key', structuredClone(array));
      const found = await store.get<Uint8Array>('key');
      expect(found?.constructor.name).toBe(kind.name);
      expect(found?.join()).toBe(array.join());
    });

    it('may contain themselves', async () => {
      const { store } = stores();
      const value: { self?: unknown; list: unknown[] } = { list: [] };
      value.self = value;
      value.list.push(value);
      await store.put('key', value);
      const found = await store.get<typeof value>('key');
      expect(found?.self).toBe(found);
      expect(found?.list[0]).toBe(found);
    });

    it('may be errors, with their kind, message and cause', async () => {
      const { store } = stores();
      await store.put('key', new TypeError('no', { cause: 7 }));
      const found = await store.get('key');
      expect(found).toBeInstanceOf(TypeError);
      expect(found).toMatchObject({ message: 'no', cause: 7 });
    });

    it('lose what is documented: the sign of zero, the class of an instance, half a character', async () => {
      const { store } = stores();
      class Session {
        constructor(readonly id: number) {}
      }
      const bare: unknown = Object.create(null, { a: { value: 1, enumerable: true } });
      await store.put('key', [-0, new Session(1), bare]);
      expect(isSame(await store.get('key'), [0, { id: 1 }, { a: 1 }])).toBe(true);
      await store.put('key', 'a\uD800b');
      expect(await store.get('key')).toMatch(/^a\uFFFD+b$/);
    });

    it('are the caller’s own: changing one changes no other', async () => {
      const { store, raw } = stores();
      const value = { list: [1], bytes: Buffer.from('abc') };
      await store.put('key', value);
      value.list.push(2);
      value.bytes.fill(0);
      const [first, second] = await store.getMany<typeof value>(['key', 'key']);
      first?.list.push(3);
      first?.bytes.fill(0);
      expect(second).toEqual({ list: [1], bytes: Buffer.from('abc') });
      expect(await store.get('key')).toEqual({ list: [1], bytes: Buffer.from('abc') });

      await raw.put('key', Buffer.from('abc'));
      const [one, two] = await raw.getMany<Buffer>(['key', 'key']);
      one?.fill(0);
      expect(two).toEqual(Buffer.from('abc'));
      expect(await raw.get('key')).toEqual(Buffer.from('abc'));
    });

    const unstorable: [string, unknown][] = [
      ['undefined', undefined],
      ['a function', () => 1],
      ['a symbol', Symbol('a')],
      ['a function inside', { list: [() => 1] }],
      ['a symbol inside', new Map([['a', Symbol('a')]])],
      ['what throws when it is looked at', { toJSON: () => fail() }],
      ['what is nested without end', nested(100_000)],
    ];
    it.each(unstorable)('may not be %s', async (_, value) => {
      const { store } = stores();
      await store.put('key', 'before');
      await expect(store.put('key', value)).rejects.toBeInstanceOf(CacheArgumentError);
      await expect(store.putMany([['other', value]])).rejects.toBeInstanceOf(CacheArgumentError);
      expect(await store.keys()).toEqual(['key']);
      expect(await store.get('key')).toBe('before');
    });

    it('can be read back, however deep, wherever they could be written', async () => {
      const { store } = stores();
      for (let depth = 64; depth <= 8192; depth *= 2) {
        const written = await store.put('key', nested(depth)).then(
          () => true,
          (error: unknown) => (expect(error).toBeInstanceOf(CacheArgumentError), false),
        );
        if (written) await expect(store.get('key')).resolves.toBeDefined();
      }
    });
  });

  describe('jsonSerializer', () => {
    it('keeps what JSON keeps', async () => {
      const { json } = stores();
      await fc.assert(
        fc.asyncProperty(keys, fc.jsonValue(), async (key, value) => {
          await json.put(key, value);
          return isSame(await json.get(key), JSON.parse(JSON.stringify(value)));
        }),
        { numRuns: 100 },
      );
    });

    it('refuses what JSON has no word for, and writes a Date as text', async () => {
      const { json } = stores();
      for (const value of [1n, { a: [1n] }, undefined, Symbol('a'), () => 1]) {
        await expect(json.put('key', value)).rejects.toBeInstanceOf(CacheArgumentError);
      }
      const cyclic: unknown[] = [];
      cyclic.push(cyclic);
      await expect(json.put('key', cyclic)).rejects.toBeInstanceOf(CacheArgumentError);
      expect(await json.keys()).toEqual([]);
      await json.put('key', new Date(0));
      expect(await json.get('key')).toBe('1970-01-01T00:00:00.000Z');
    });
  });
}

function nested(depth: number): unknown {
  let value: unknown = [];
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

function fail(): never {
  throw new Error('a value that was looked at');
}
