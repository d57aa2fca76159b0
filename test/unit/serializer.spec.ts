import { CacheArgumentError, messagePackSerializer } from 'nestjs-redis-cache-store';
import { RECORDS_MARK } from '../support/hostile.js';

const written = (value: unknown) => Buffer.from(messagePackSerializer.serialize(value));

/** What comes back is the same: see the contract of values. Here is how it lies in Redis. */
describe('messagePackSerializer', () => {
  it('writes plain data as MessagePack that every language reads', () => {
    expect(written({ id: 7, tags: ['a', null, true] }).toString('hex')).toBe('82a2696407a47461677393a161c0c3');
    expect(written('a').toString('hex')).toBe('a161');
  });

  const self: { self?: unknown } = {};
  self.self = self;
  const shared = {};
  const beyondMaps: [string, unknown][] = [
    ['a Map', new Map()],
    ['a Map deep inside', { list: [{ map: new Map([['a', 1]]) }] }],
    ['a Map beside an own __proto__', [new Map(), JSON.parse('{"__proto__":1}')]],
    ['a cycle', self],
    ['one object in two places', [shared, shared]],
    ['one object in two places, beside an own __proto__', [shared, shared, JSON.parse('{"__proto__":1}')]],
  ];
  it.each(beyondMaps)('writes %s as msgpackr’s own records, so that it comes back as it is', (_, value) => {
    const bytes = written(value);
    expect(bytes.subarray(0, 3)).toEqual(RECORDS_MARK);
    expect(messagePackSerializer.deserialize(bytes)).toEqual(value);
  });

  it('writes what only looks like one as plain data', () => {
    for (const value of [{ text: 'a__proto__b' }, { bytes: Buffer.from([0xd6, 0x69, 0, 0, 0, 0]) }, { ' __': 1 }]) {
      const bytes = written(value);
      expect(messagePackSerializer.deserialize(bytes)).toEqual(value);
    }
  });

  it('takes nothing over from one value to the next', () => {
    const before = written({ a: 1 });
    written(new Map([['a', 1]]));
    expect(() => written({ list: [new Map(), () => 1] })).toThrow('a function cannot be stored');
    expect(written({ a: 1 })).toEqual(before);
  });

  it.each([65, 500, 3990])('reads a Map beside objects of %d shapes, some of which come again', (count) => {
    const shapes = Array.from({ length: count }, (_, i) => ({ [`k${i}`]: i }));
    const value = [new Map(), ...shapes, { k0: 5 }, { [`k${count - 1}`]: 7 }];
    expect(messagePackSerializer.deserialize(messagePackSerializer.serialize(value))).toEqual(value);
  });

  it('refuses what it could not read again', () => {
    const shapes = Array.from({ length: 9000 }, (_, i) => ({ [`k${i}`]: i }));
    expect(() => messagePackSerializer.serialize([new Map(), ...shapes, { k0: 5 }])).toThrow(CacheArgumentError);
    const own = JSON.parse('{"__proto__":{"admin":true}}') as { self?: unknown };
    own.self = [own];
    expect(() => messagePackSerializer.serialize(own)).toThrow(CacheArgumentError);
  });

  it('reads a record with a number of two bytes only if the check of bounds can follow', () => {
    const bytes = (second: number) =>
      Buffer.concat([RECORDS_MARK, Buffer.from([0xd5, 0x72, 0x60, second, 0x91, 0xa1, 0x61, 1])]);
    expect(messagePackSerializer.deserialize(bytes(0x7f))).toEqual({ a: 1 });
    expect(() => messagePackSerializer.deserialize(bytes(0x80))).toThrow(RangeError);
  });

  it.each<[string, unknown]>([
    ['a promise', Promise.resolve({ userId: 42 })],
    ['one inside', { user: [Promise.resolve()] }],
    ['one beside a Map', [new Map(), Promise.resolve()]],
  ])('refuses %s, which somebody forgot to await', (_, value) => {
    expect(() => messagePackSerializer.serialize(value)).toThrow(/await/);
  });
});
