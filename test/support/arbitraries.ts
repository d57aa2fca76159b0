import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import type { RecordHeader } from '../../lib/record/layout.js';

/** Keys that break what forgets to escape, to count bytes or to tell a property from its prototype. */
export const AWKWARD_KEYS: readonly string[] = [
  '*',
  '?',
  '[x]',
  '[^a-z]*',
  '\\',
  '\\*',
  '{1,2}',
  '{slot}',
  ':',
  'a:b',
  '#tag',
  ' ',
  '\n',
  '\r\n$-1\r\n',
  '\0',
  '__proto__',
  'constructor',
  'toString',
  'ä',
  'a\u0308',
  '😀',
  '\u{10FFFF}',
  'undefined',
  'x'.repeat(512),
  '😀'.repeat(128), // 512 bytes
];

/** Any key that a store has to take. */
export const keys = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom('*', '?', '[', ']', '\\', ':', '#', '^', '\n'),
      fc.string({ unit: 'binary', maxLength: 1 }),
    ),
    minLength: 1,
  })
  .filter((key) => key !== '' && Buffer.byteLength(key) <= 512);

const numbers = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double()).map((number) => (number === 0 ? 0 : number));
const scalars = fc.oneof(
  fc.boolean(),
  fc.constant(null),
  numbers,
  fc.bigInt(),
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.date({ noInvalidDate: true }), // an invalid one is not the same as itself (isDeepStrictEqual of Node 20)
  fc.constantFrom(/a+/, /[/\\]"/giu, new RegExp('')),
  fc.uint8Array(),
  fc.uint8Array().map((array) => Buffer.from(array)),
);
const names = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: 'binary', maxLength: 5 }) },
  fc.constantFrom('__proto__', '__proto_', 'constructor', 'then', 'length', 'ä'),
);

/** Whatever the default serializer says comes back as it went in. (Not `undefined`: no store takes that by itself.) */
export const values: fc.Arbitrary<unknown> = fc.letrec((tie) => {
  const item = tie('item');
  const list = fc.array(item, { maxLength: 4 });
  return {
    item: fc.oneof({ maxDepth: 4 }, { weight: 4, arbitrary: scalars }, fc.constant(undefined), tie('container')),
    container: fc.oneof(
      list,
      fc.array(fc.tuple(names, item), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
      fc.array(fc.tuple(item, item), { maxLength: 4 }).map((entries) => new Map(entries)),
      list.map((items) => new Set(items)),
      // One object in two places: it is still one when it comes back.
      item.map((shared) => [shared, { again: shared }]),
    ),
    value: fc.oneof({ weight: 1, arbitrary: scalars }, { weight: 4, arbitrary: tie('container') }),
  };
}).value;

/** Equal in all that a program can see: types, order, identity within. */
export function isSame(actual: unknown, expected: unknown): boolean {
  return isDeepStrictEqual(actual, expected);
}

/** The header of a record without tags. */
export const UNTAGGED: RecordHeader = { createdAt: 1_700_000_000_000, ttl: null, tags: [] };

const incarnations = fc
  .uint8Array({ minLength: 8, maxLength: 8 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'));

/** Whatever a record may know of itself. */
export const headers: fc.Arbitrary<RecordHeader> = fc
  .record({
    createdAt: fc.nat({ max: 2 ** 48 - 1 }),
    ttl: fc.oneof(fc.integer({ min: 1, max: 2 ** 48 - 1 }), fc.constant(null)),
    fixedEnd: fc.boolean(),
    movedAway: fc.boolean(),
    tags: fc.array(keys, { maxLength: 64 }),
    incarnation: incarnations,
  })
  .map(({ incarnation, ...header }) => (header.tags.length > 0 ? { ...header, incarnation } : header));
