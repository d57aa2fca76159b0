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
      ['minus zero', [-0, { a: -0 }]],
      ['half a character', ['a\uD800b', { '': '\uDC00' }]],
      ['an array with holes', Object.assign(Array(4), { 1: undefined, 2: 'a' })],
      ['an object without a prototype', Object.assign(Object.create(null), { a: 1, b: [Object.create(null)] })],
      ['an own constructor', { constructor: 1, toString: 'a', hasOwnProperty: null }],
      ['an own toJSON', [{ toJSON: 'a', b: 1 }, { toJSON: { deep: true } }]],
      ['a property named then', JSON.parse('{"then":1}')],
      ['an ArrayBuffer', new Uint8Array([1, 2]).buffer],
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

    const errors: [string, Error][] = [
      ['with a cause', new TypeError('no', { cause: new RangeError('why', { cause: 7 }) })],
      ['with a code', Object.assign(new Error('no'), { code: 'ENOENT', errno: -2 })],
      ['with a name', Object.assign(new Error('no'), { name: 'Custom' })],
      ['without a message', new SyntaxError()],
      ['with a message that is half a character', new Error('a\uD800b')],
      ['of many', new AggregateError([new Error('1'), 2], 'no')],
    ];
    it.each(errors)('may be an error %s', async (_, error) => {
      const { store } = stores();
      await store.put('key', { error });
      const found = (await store.get<{ error: Error }>('key'))?.error;
      expect(found?.constructor).toBe(error.constructor);
      expect(isSame(found, error)).toBe(true);
      const names = (each: object = {}) => Reflect.ownKeys(each).map(String).toSorted();
      expect(names(found)).toEqual(names(error));
      expect(isSame(found?.cause, error.cause)).toBe(true);
      expect(isSame((found as AggregateError).errors, (error as AggregateError).errors)).toBe(true);
      expect(found?.stack).toBe(String(error)); // where it was thrown is not kept
    });

    it('lose one thing, as documented: the class of an instance, which may have a toJSON', async () => {
      const { store } = stores();
      class Session {
        readonly createdAt = new Date(0);
        constructor(readonly id: bigint) {}
      }
      class Money {
        toJSON = undefined;
      }
      class Price extends Money {
        amount = 1;
      }
      await store.put('key', [new Session(1n), new URL('http://a/b'), new Price()]);
      const found = await store.get('key');
      const expected = [{ createdAt: new Date(0), id: 1n }, 'http://a/b', { toJSON: undefined, amount: 1 }];
      expect(isSame(found, expected)).toBe(true);
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

    it('may be nested 500 levels deep and no deeper', async () => {
      const { store } = stores();
      await store.put('key', nested(499));
      expect(isSame(await store.get('key'), nested(499))).toBe(true);
      await expect(store.put('key', nested(500))).rejects.toThrow('more than 500 levels');
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
