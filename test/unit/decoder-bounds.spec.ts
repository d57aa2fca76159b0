import * as fc from 'fast-check';
import { messagePackSerializer } from 'nestjs-redis-cache-store';
import { decodeRecord, encodeHead, encodeRecord } from '../../lib/record/layout.js';
import { UNTAGGED, values } from '../support/arbitraries.js';
import { LONG } from '../support/fault-report.js';
import { GRAPH_MARK } from '../support/hostile.js';

const MIB = 2 ** 20;
const MANY = 2 ** 18;
const ARRAY_32 = 0xdd;
const MAP_32 = 0xdf;

const uint32 = (n: number) => [n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff];
const array = (length: number) => [ARRAY_32, ...uint32(length)];
const repeat = (bytes: number[], times: number) => Buffer.alloc(bytes.length * times, Buffer.from(bytes));
const join = (...parts: (Uint8Array | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part)));

/** Extensions of msgpackr, none of which is read. */
const ext = (type: number) => [0xd4, type, 0];
const SET = ext(0x73);
const ERROR = ext(0x65);
const REGEXP = ext(0x78);
const OWN_PROTO = ext(0x50);
const RECORD = [0xd4, 0x72, 0x40];
const identity = (id: number) => [0xd6, 0x69, ...uint32(id)];
const pointer = (id: number) => [0xd6, 0x70, ...uint32(id)];

/** An array that has itself become 2^40 elements by the time its pointers have been followed. */
const bomb = (after: Uint8Array | number[]) =>
  join(
    [0xdc, 0, 41, ...identity(0), 0x91, 0xa1, 0x78],
    ...Array.from({ length: 40 }, (_, i) =>
      i < 39 ? [...identity(i + 1), 0x92, ...pointer(i), ...pointer(i)] : Buffer.from(after),
    ),
  );
const bombAnd = (...last: number[]) => bomb([...last]);

/** A list of nodes of which each is made of the number of the next one. */
const chain = (node: (next: number[]) => number[]) =>
  join(
    array(MANY + 1),
    [0x91, 1],
    Buffer.concat(Array.from({ length: MANY }, (_, i) => Buffer.from(node([0xce, ...uint32((i % (MANY - 1)) + 2)])))),
  );

/** Elements that are all different: a Set keeps each. */
const numbers = (count: number) =>
  join(array(count), Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.from([0xce, ...uint32(i)]))));

const hostile: [string, () => Buffer][] = [
  ['an array of 2^32 elements in five bytes', () => join(array(2 ** 32 - 1))],
  ['a map of 2^32 entries in five bytes', () => join([MAP_32], uint32(2 ** 32 - 1))],
  ['a text of 2^32 bytes in five', () => join([0xdb], uint32(2 ** 32 - 1))],
  ['a binary of 2^32 bytes in five', () => join([0xc6], uint32(2 ** 32 - 1))],
  ['an extension of 2^32 bytes in six', () => join([0xc9], uint32(2 ** 32 - 1), [0x74])],
  ['arrays in arrays that each claim all that is left', () => repeat(array(MIB / 2), MIB / 10)],
  ['maps in maps that each claim all that is left', () => repeat([MAP_32, ...uint32(MIB / 4)], MIB / 10)],
  ['arrays nested a million deep', () => join(repeat([0x91], MIB), [1])],
  ['maps nested a million deep, as keys', () => join(repeat([0x81], MIB / 2), repeat([1], MIB / 2 + 1))],
  ['Sets nested deep', () => join(repeat([...SET, 0x91], MIB / 4), [1])],
  ['records nested deep', () => join([...RECORD, 0x91, 0xa1, 0x61], repeat([0x40], MIB), [1])],
  [
    'identities of identities of what points to all of them',
    () => {
      const ids = Array.from({ length: 900 }, (_, i) => i);
      const elements = repeat([1], 100_000);
      return join(ids.flatMap(identity), array(elements.length + ids.length), ids.flatMap(pointer), elements);
    },
  ],
  ['Sets of Sets of many elements', () => join(repeat(SET, 2000), numbers(100_000))],
  [
    'Sets of one array, pointed to many times',
    () => join(array(5001), identity(1), numbers(20_000), repeat([...SET, ...pointer(1)], 5000)),
  ],
  [
    'property lists of one array, pointed to many times',
    () => join(array(5001), identity(1), numbers(20_000), repeat([...OWN_PROTO, ...pointer(1)], 5000)),
  ],
  ['pointers to pointers, and a byte too many', () => join(bombAnd(0xc0), [0xc0])],
  ['pointers to pointers as a regular expression', () => bombAnd(...REGEXP, 0x92, ...pointer(38), 0xa0)],
  ['pointers to pointers as the flags of one', () => bombAnd(...REGEXP, 0x92, 0xa0, ...pointer(38))],
  ['pointers to pointers as the message of an error', () => bombAnd(...ERROR, 0x92, 0xa0, ...pointer(38))],
  ['pointers to pointers as the name of an error', () => bombAnd(...ERROR, 0x92, ...pointer(38), 0xa0)],
  ['pointers to pointers as the name of a property', () => bombAnd(...OWN_PROTO, 0x91, 0x92, ...pointer(38), 1)],
  ['pointers to pointers as the name of a field', () => bombAnd(...RECORD, 0x91, ...pointer(38), 1)],
  [
    'bundles of texts that each begin anew',
    () => {
      const count = 100_000;
      const distance = (i: number) => 5 + count * 7 - (5 + i * 7 + 2);
      const bundles = Array.from({ length: count }, (_, i) => [0xd6, 0x62, ...uint32(distance(i)), 1]);
      return join(array(count), bundles.flat(), [0xdb, ...uint32(MIB)], repeat([0x61], MIB), [0xa0]);
    },
  ],
  ['a bundle that jumps back to the beginning', () => join([0xd6, 0x62, ...uint32(2 ** 32 - 6), 1, 0xa0, 0xa0])],
  ['a BigInt of a megabyte', () => join([0xc9, ...uint32(MIB), 0x42], repeat([0x7f], MIB))],
  [
    'a BigInt of a megabyte as the names of many fields',
    () => {
      const integer = [...identity(0), 0xc9, ...uint32(MIB), 0x42];
      const names = repeat(pointer(0), 1000);
      return join([0x92], integer, repeat([0x7f], MIB), RECORD, array(1000), names, repeat([1], 1000));
    },
  ],
  [
    'a BigInt of a megabyte as the name of a field',
    () => join(RECORD, [0x91, 0xc9, ...uint32(MIB), 0x42], repeat([0x7f], MIB), [1]),
  ],
  ['definitions of records without end', () => join(array(MIB / 8), repeat([...RECORD, 0x91, 0xa1, 0x61, 1], MIB / 8))],
  ['many empty Maps', () => join(array(MANY), repeat([0x80], MANY))],
  ['many empty arrays', () => join(array(MANY), repeat([0x90], MANY))],
  ['many empty records', () => join(array(MANY + 1), RECORD, [0x90], repeat([0x40], MANY))],
  ['nodes nested a million deep', () => chain((next) => [0x92, 2, 0x91, ...next])],
  ['Maps nested a million deep, as keys', () => chain((next) => [0x93, 3, 0x91, ...next, 1])],
  ['nodes that all point to the next one twice', () => chain((next) => [0x93, 2, 0x91, ...next, 0x91, ...next])],
  ['nodes of many holes', () => join(array(2), [0x91, 1], array(MANY), [2], repeat([0x90], MANY - 1))],
  ['a node of a BigInt of a megabyte', () => join([0x92, 0x91, 1, 0x92, 9, 0xdb], uint32(MIB), repeat([0x66], MIB))],
  [
    'a regular expression of a megabyte',
    () => join([0x92, 0x91, 1, 0x94, 6, 0xdb], uint32(MIB), repeat([0x28], MIB), [0xa0, 0]),
  ],
];

/** What a decoder may take for `size` bytes: an empty Map is one byte, and takes V8 some 200. */
const allowance = (size: number) => 64 * MIB + 320 * size;

function memory(): number {
  const { heapUsed, external } = process.memoryUsage(); // external includes array buffers
  return heapUsed + external;
}

/** Decodes; whether that works does not matter here, only what it takes. */
function expectBounded(bytes: Buffer, decode: (bytes: Buffer) => unknown): void {
  const before = memory();
  const begun = performance.now();
  const outcome = attempt(() => decode(bytes));
  const taken = memory() - before;
  expect(performance.now() - begun).toBeLessThan(10_000); // milliseconds, unless it is for ever
  expect(taken).toBeLessThan(allowance(bytes.length));
  expect('value' in outcome || outcome.error instanceof Error).toBe(true);
}

function attempt(action: () => unknown): { value: unknown } | { error: unknown } {
  try {
    return { value: action() };
  } catch (error) {
    return { error };
  }
}

const asValue = (bytes: Buffer) => messagePackSerializer.deserialize(bytes);
const asRecord = (bytes: Buffer) => {
  const { payload, header } = decodeRecord(bytes);
  return [header, asValue(payload)];
};

describe('the decoder', () => {
  it.each(hostile)('takes little time and memory for %s', (_, make) => {
    const bytes = make();
    expectBounded(bytes, asValue);
    expectBounded(join(GRAPH_MARK, bytes), asValue);
    expectBounded(encodeRecord(encodeHead(UNTAGGED, false), bytes), asRecord);
  });

  const token = fc.oneof(
    fc.constantFrom(0x80, 0x81, 0x90, 0x92, 0xc1, 0xc4, 0xc7, 0xc9, 0xd4, 0xd5, 0xd6, 0xd9, 0xdc, 0xdd, 0xde, 0xdf),
    fc.constantFrom(0x40, 0x42, 0x50, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0xff, 0),
    fc.integer({ min: 0, max: 255 }),
  );
  const noise = fc.array(token, { maxLength: 200 }).map((bytes) => Buffer.from(bytes));

  it('neither hangs nor crashes nor takes much memory, whatever the bytes', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        expectBounded(bytes, asValue);
        expectBounded(join(GRAPH_MARK, bytes), asValue);
        expectBounded(encodeRecord(encodeHead(UNTAGGED, false), bytes), asRecord);
      }),
      { numRuns: LONG ? 3000 : 3000 / 5 },
    );
  });

  it('neither hangs nor crashes for bytes that were a value once', () => {
    const edits = fc.array(fc.tuple(fc.nat(), token), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(values, edits, (value, changed) => {
        const bytes = Buffer.from(messagePackSerializer.serialize(value));
        for (const [at, byte] of changed) bytes[at % bytes.length] = byte;
        expectBounded(bytes, asValue);
      }),
      { numRuns: LONG ? 2000 : 2000 / 5 },
    );
  });

  it('gives no value for a part of one, nor for one with something behind it', () => {
    fc.assert(
      fc.property(values, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 3 }), (value, cut, more) => {
        const bytes = Buffer.from(messagePackSerializer.serialize(value));
        expect(() => asValue(bytes.subarray(0, cut % bytes.length))).toThrow();
        expect(() => asValue(join(bytes, more))).toThrow();
      }),
      { numRuns: LONG ? 500 : 500 / 5 },
    );
  });
});
