import * as fc from 'fast-check';

const uint = (n: number, width: number) =>
  Array.from({ length: width }, (_, i) => Math.floor(n / 256 ** (width - 1 - i)) % 256);
const text = (name: string) => [0xa0 | Buffer.byteLength(name), ...Buffer.from(name)];

const lengths = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 6 }) },
  fc.constantFrom(2 ** 8 - 1, 2 ** 16 - 1, 2 ** 24, 2 ** 31, 2 ** 32 - 1),
);
const names = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'then', 'length', 'a').map(text);
const extensions = fc.constantFrom(0x42, 0x50, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0xff, 0x00, 0x40);

/** Bytes that look like MessagePack, some with extensions of msgpackr, but keep few promises. */
export const messagePack: fc.Arbitrary<Buffer> = fc
  .letrec<{ item: number[]; items: number[] }>((tie) => ({
    items: fc.array(tie('item'), { maxLength: 5 }).map((parts) => parts.flat()),
    item: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 255 }).map((byte) => [byte]) },
      { weight: 3, arbitrary: names },
      fc
        .tuple(fc.constantFrom(0xdd, 0xdf, 0xdb, 0xc6), lengths, tie('items'))
        .map(([token, length, body]) => [token, ...uint(length, 4), ...body]),
      fc
        .tuple(fc.constantFrom(0xdc, 0xde, 0xda, 0xc5), lengths, tie('items'))
        .map(([token, length, body]) => [token, ...uint(length, 2), ...body]),
      fc
        .tuple(fc.constantFrom(0x80, 0x90), fc.integer({ min: 0, max: 5 }), tie('items'))
        .map(([token, length, body]) => [token | length, ...body]),
      // Our own extension: the properties of an object, as a list.
      fc.tuple(names, tie('item')).map(([name, item]) => [0xd4, 0x50, 0, 0x91, 0x92, ...name, ...item]),
      fc.tuple(names, tie('item')).map(([name, item]) => [0x81, ...name, ...item]),
      fc
        .tuple(extensions, fc.integer({ min: 0, max: 0x60 }), tie('item'))
        .map(([type, byte, item]) => [0xd4, type, byte, ...item]),
      fc
        .tuple(fc.constantFrom(0x69, 0x70, 0x62), lengths, tie('item'))
        .map(([type, id, item]) => [0xd6, type, ...uint(id, 4), ...item]),
      fc
        .tuple(extensions, lengths, tie('items'))
        .map(([type, length, body]) => [0xc9, ...uint(length, 4), type, ...body]),
      fc
        .tuple(fc.integer({ min: 0x40, max: 0x44 }), names, tie('item'))
        .map(([id, name, item]) => [0xd4, 0x72, id, 0x91, ...name, ...item]),
      fc
        .tuple(fc.constantFrom(0x81, 0x91, 0x92), fc.integer({ min: 1, max: 3000 }))
        .map(([token, depth]) => Array<number>(depth).fill(token)),
    ),
  }))
  .items.map((bytes) => Buffer.from(bytes));

/** What stands before values that are written as a list of nodes. */
export const GRAPH_MARK = Buffer.from([0xd4, 0x4d, 0]);

const slots = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 12 }).map((number) => [0x91, number]) },
  fc.constantFrom([0x90], [0xc0], [0xc3], [0x91, 0xff], [0x92, 1, 1], [0x81, 0xa1, 0x61, 1], [0xc4, 1, 0xff]),
  fc.constantFrom('Error', 'AggregateError', 'Buffer', 'DataView', 'Uint16Array', 'a', '-f', '[', 'g').map(text),
  names,
  fc.integer({ min: 0, max: 0x7f }).map((number) => [number]),
);
const nodes = fc
  .tuple(fc.integer({ min: 0, max: 13 }), fc.array(slots, { maxLength: 5 }))
  .map(([kind, fields]) => [0x90 | (fields.length + 1), kind, ...fields.flat()]);

/** A list of nodes of which little need be true. */
const graphs = fc
  .tuple(slots, fc.array(nodes, { maxLength: 8 }))
  .map(([root, list]) => Buffer.from([...GRAPH_MARK, 0x90 | (list.length + 1), ...root, ...list.flat()]));

/** What the default serializer may be asked to read. */
export const payloads: fc.Arbitrary<Buffer> = fc.oneof(
  messagePack,
  messagePack.map((bytes) => Buffer.concat([GRAPH_MARK, bytes])),
  graphs,
);

/** Bytes after some accidents. */
export const accidents = fc.array(
  fc.record({
    kind: fc.constantFrom('turn', 'set', 'drop', 'insert', 'copy', 'cut'),
    at: fc.nat(),
    byte: fc.integer({ min: 0, max: 255 }),
    length: fc.integer({ min: 1, max: 12 }),
  }),
  { minLength: 1, maxLength: 4 },
);
export function damaged(bytes: Uint8Array, what: typeof accidents extends fc.Arbitrary<infer T> ? T : never): Buffer {
  let result = [...bytes];
  for (const { kind, at: anywhere, byte, length } of what) {
    const at = anywhere % (result.length + 1);
    if (kind === 'turn' && at < result.length) result[at] = (result[at] ?? 0) ^ (1 << (byte & 7));
    if (kind === 'set' && at < result.length) result[at] = byte;
    if (kind === 'drop') result.splice(at, length);
    if (kind === 'insert') result.splice(at, 0, ...Array<number>(length).fill(byte));
    if (kind === 'copy') result.splice(at, 0, ...result.slice(byte, byte + length));
    if (kind === 'cut') result = result.slice(0, at);
  }
  return Buffer.from(result);
}
