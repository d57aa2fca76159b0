import { CacheArgumentError, messagePackSerializer } from 'nestjs-redis-cache-store';
import { GRAPH_MARK } from '../support/hostile.js';

const written = (value: unknown) => Buffer.from(messagePackSerializer.serialize(value));
const again = (value: unknown) => messagePackSerializer.deserialize(written(value));

/** What comes back is the same: see the contract of values. Here is how it lies in Redis. */
describe('messagePackSerializer', () => {
  it('writes plain data as MessagePack that every language reads', () => {
    expect(written({ id: 7, tags: ['a', null, true] }).toString('hex')).toBe('82a2696407a47461677393a161c0c3');
    expect(written('a').toString('hex')).toBe('a161');
    expect(written(new Date(1e12)).toString('hex')).toBe('d6ff3b9aca00');
    expect(written(Buffer.from('a')).toString('hex')).toBe('c40161');
    expect(written({ a: undefined }).toString('hex')).toBe('81a161d40000');
  });

  it('writes all else as a list of nodes that is MessagePack itself', () => {
    expect(written(new Map([['a', 255n]])).toString('hex')).toBe('d44d009391019303a16191029209a26666');
  });

  const shared = {};
  const self: { self?: unknown } = {};
  self.self = self;
  const beyondMessagePack: [string, unknown][] = [
    ['a Map', new Map()],
    ['a Map deep inside', { list: [{ map: new Map([['a', 1]]) }] }],
    ['a BigInt', 1n],
    ['minus zero', [-0]],
    ['text that is not well-formed', ['\ud800']],
    ['an array with a hole', Array.of(1, 2).concat(Array(1))],
    ['a cycle', self],
    ['one object in two places', [shared, shared]],
    ['an own __proto__', JSON.parse('{"__proto__":1}')],
  ];
  it.each(beyondMessagePack)('writes %s as a list of nodes, so that it comes back as it is', (_, value) => {
    expect(written(value).subarray(0, 3)).toEqual(GRAPH_MARK);
    expect(again(value)).toEqual(value);
  });

  it('writes one object in many places once, however they multiply', () => {
    let value: unknown = ['end'];
    for (let i = 0; i < 60; i++) value = { left: value, right: value };
    expect(written(value).length).toBeLessThan(2000);
    let found = again(value) as { left: unknown; right: unknown };
    expect(found.left).toBe(found.right);
    for (let i = 0; i < 60; i++) found = found.left as typeof found;
    expect(found).toEqual(['end']);
  });

  it('takes nothing over from one value to the next', () => {
    const before = written({ a: 1 });
    written(new Map([['a', 1]]));
    expect(() => written({ list: [new Map(), () => 1] })).toThrow('a function cannot be stored');
    expect(written({ a: 1 })).toEqual(before);
  });

  it('may be used by a toJSON that it calls', () => {
    class Inner {
      toJSON() {
        return { bytes: written({ other: new Map([[1, { z: 9 }]]) }).length };
      }
    }
    expect(again([{ p: 1 }, new Inner(), { p: 2 }])).toEqual([{ p: 1 }, { bytes: expect.any(Number) }, { p: 2 }]);
  });

  it('calls toJSON once for each instance, as JSON.stringify does', () => {
    let calls = 0;
    class Endless {
      toJSON() {
        calls++;
        return new Endless();
      }
    }
    const endless = new Endless();
    expect(again([endless, endless])).toEqual([{}, {}]);
    expect(calls).toBe(1);
  });

  it.each<[string, unknown]>([
    ['a promise', Promise.resolve({ userId: 42 })],
    ['one inside', { user: [Promise.resolve()] }],
    ['one beside a Map', [new Map(), Promise.resolve()]],
  ])('refuses %s, which somebody forgot to await', (_, value) => {
    expect(() => written(value)).toThrow(/await/);
  });

  class Blob8 extends Uint8Array {}
  class Codes extends Map {}
  class List extends Array {}
  class Failure extends Error {}
  class Moment extends Date {}
  const strangers: [string, unknown, string][] = [
    ['a class derived from Uint8Array', new Blob8([1]), 'Blob8'],
    ['a class derived from Map', new Codes(), 'Codes'],
    ['a class derived from Array', new List(), 'List'],
    ['a class derived from Error', new Failure('no'), 'Failure'],
    ['a class derived from Date', new Moment(), 'Moment'],
    ['a WeakMap', new WeakMap(), 'WeakMap'],
    ['a boxed number', Object(1), 'Number'],
    ['shared memory', new SharedArrayBuffer(1), 'SharedArrayBuffer'],
    ['search parameters', new URLSearchParams('a=1'), 'URLSearchParams'],
  ];
  it.each(strangers)('refuses an instance of %s by name', (_, value, name) => {
    for (const each of [value, { deep: [value] }, new Map([[value, 1]])]) {
      expect(() => written(each)).toThrow(new CacheArgumentError(`value: an instance of ${name} cannot be stored`));
    }
  });

  it.each<[string, unknown]>([
    ['a name that is a symbol', { [Symbol('a')]: 1 }],
    ['a name that is not well-formed', { '\ud800': 1 }],
    ['an array with a name', Object.assign([1], { name: 'a' })],
    ['a Date with a property', Object.assign(new Date(0), { zone: 'UTC' })],
    ['a DataView with a property', Object.assign(new DataView(new ArrayBuffer(1)), { name: 'a' })],
    ['an array with a symbol', Object.assign([1], { [Symbol('a')]: 1 })],
    ['a Map with a symbol', Object.assign(new Map(), { [Symbol('a')]: 1 })],
    ['a Date with a symbol', Object.assign(new Date(0), { [Symbol('a')]: 1 })],
    ['a Map with a property', Object.assign(new Map(), { name: 'a' })],
    ['an error whose message is an object', Object.assign(new Error('m'), { message: { code: 1 } })],
  ])('refuses %s, which would be lost', (_, value) => {
    expect(() => written(value)).toThrow(CacheArgumentError);
    expect(() => written([value])).toThrow(CacheArgumentError);
  });

  it('refuses an array with more than a million holes, without looking for them', () => {
    const sparse: number[] = [];
    sparse[10_000] = 1;
    expect(again(sparse)).toEqual(sparse);
    sparse[2 ** 32 - 2] = 1;
    expect(() => written(sparse)).toThrow('more than 1048576 holes');
  });

  describe('nesting', () => {
    const nested = (depth: number, wrap: (inner: unknown) => unknown) =>
      Array.from({ length: depth - 1 }).reduce<unknown>((inner) => wrap(inner), []);
    const wraps: [string, (inner: unknown) => unknown][] = [
      ['arrays', (inner) => [inner]],
      ['objects', (inner) => ({ inner })],
      ['Maps', (inner) => new Map([['inner', inner]])],
      ['Maps, as keys', (inner) => new Map([[inner, 1]])],
      ['errors', (inner) => new Error('outer', { cause: inner })],
    ];

    it.each(wraps)(
      'is kept up to 500 levels of %s and refused beyond, in a warm process as in a cold one',
      (_, wrap) => {
        for (let round = 0; round < 5; round++) {
          expect(written(again(nested(500, wrap)))).toEqual(written(nested(500, wrap)));
          expect(() => written(nested(501, wrap))).toThrow('nested too deeply');
        }
      },
    );

    it('is refused however deep it is', () => {
      for (const [, wrap] of wraps) expect(() => written(nested(20_000, wrap))).toThrow(CacheArgumentError);
    });
  });
});
