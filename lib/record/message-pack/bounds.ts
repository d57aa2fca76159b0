import type { Unpackr } from 'msgpackr';

/** Bytes that follow the tokens 0xc0–0xdf of fixed size (MessagePack specification, "Formats"). */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0, 0xc2: 0, 0xc3: 0,
  0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
  0xd4: 2, 0xd5: 3, 0xd6: 5, 0xd7: 9, 0xd8: 17,
}; // prettier-ignore

/** Bytes that follow any token; -1: containers, and what tells its length in further bytes. A table, since every read takes this way. */
const FOLLOW = Int8Array.from({ length: 256 }, (_, token) => {
  if (token <= 0x7f || token >= 0xe0) return 0;
  return token >= 0xa0 && token <= 0xbf ? token & 0x1f : (FIXED[token] ?? -1);
});

const FIXARRAY = 0x90;
const FIXEXT_1 = 0xd4;
const FIXEXT_2 = 0xd5;
const STR_8 = 0xd9;
const FIXEXT_4 = 0xd6;

/** Extensions of msgpackr that stand before other values, or point to them. */
const BUNDLE = 0x62;
const ERROR = 0x65;
const IDENTITY = 0x69;
const POINTER = 0x70;
const RECORD = 0x72;
const SET = 0x73;
const REGEXP = 0x78;
/** Our own, for objects with an own `__proto__`: one of the codes that msgpackr leaves to applications. */
export const OWN_PROTO = 0x50;

/**
 * Reads one value, of bytes that may be anybody's, in time and memory that are a small multiple of their number.
 *
 * @throws whatever tells that these are not the bytes of exactly one value
 */
export function unpackBounded(unpackr: Pick<Unpackr, 'unpackMultiple'>, bytes: Uint8Array): unknown {
  assertBounded(bytes);
  let result: unknown;
  // `unpack` would complain about bytes after the value in a message with the value as JSON, in which what is
  // pointed to twice stands twice, and so on: 500 bytes become gigabytes.
  unpackr.unpackMultiple(bytes, (value: unknown, _, end) => {
    if (end !== bytes.length) throw new RangeError('MessagePack goes on after its value');
    result = value;
    return false;
  });
  return result;
}

/**
 * Refuses MessagePack that claims more than it holds: a decoder allocates an array of the claimed length before it sees
 * that the elements are missing. Every element takes at least one byte and belongs to one container, so the claims
 * of all containers together cannot exceed the number of bytes. Extensions that could multiply what they
 * stand before must be written as msgpackr writes them.
 *
 * @throws RangeError
 */
export function assertBounded(bytes: Uint8Array): void {
  const { length } = bytes;
  let claimed = 0;
  for (let at = 0; at < length;) {
    const token = bytes[at++] ?? 0;
    const follow = FOLLOW[token] ?? 0;
    if (follow >= 0) {
      at += follow;
      if (token >= FIXEXT_1 && token < STR_8) assertExtension(bytes, token, bytes[at - follow] ?? 0, at);
    } else if (token <= 0x8f) claimed += 2 * (token & 0x0f);
    else if (token <= 0x9f) claimed += token & 0x0f;
    else {
      const width = lengthWidth(token);
      const size = unsigned(bytes, at, width);
      at += width;
      if (token >= 0xde) claimed += 2 * size;
      else if (token >= 0xdc) claimed += size;
      else if (token > 0xc9 || token < 0xc7) at += size;
      else {
        const type = bytes[at] ?? 0;
        at += 1 + size;
        assertExtension(bytes, token, type, at);
      }
    }
    if (claimed > length || at > length) throw new RangeError('MessagePack claims more than it holds');
  }
}

/**
 * What follows an extension, from `at` on. The rules keep msgpackr from copying the same elements once for each of a chain of
 * extensions (Set of Set …, identity of identity …), from making a text of a value with pointers in it, and from jumping about.
 */
function assertExtension(bytes: Uint8Array, token: number, type: number, at: number): void {
  if (type === BUNDLE) throw malformed();
  if (type === IDENTITY) {
    const inner = bytes[at + 1];
    if (token !== FIXEXT_4 || (bytes[at] === FIXEXT_4 && (inner === IDENTITY || inner === POINTER))) throw malformed();
  } else if (type === POINTER) {
    if (token !== FIXEXT_4) throw malformed();
  } else if (type === SET || type === OWN_PROTO) {
    if (arrayAt(bytes, at) === undefined) throw malformed();
  } else if (type === RECORD) {
    // The second byte of a number, which is no token but is passed over here as one: it must be one that stands alone.
    if (token === FIXEXT_2 && (bytes[at - 1] ?? 0) > 0x7f) throw malformed();
    assertScalars(bytes, at, Infinity);
  } else if (type === ERROR || type === REGEXP) {
    assertScalars(bytes, at, 2);
  }
}

/** At `at` stands an array, and its first `count` elements (or all it has) hold nothing else. */
function assertScalars(bytes: Uint8Array, at: number, count: number): void {
  const array = arrayAt(bytes, at);
  if (!array) throw malformed();
  at = array.start;
  for (let left = Math.min(count, array.length); left > 0; left--) {
    const token = bytes[at++];
    if (token === undefined) throw malformed();
    if (token <= 0x7f || token >= 0xe0) continue;
    if (token >= 0xa0 && token <= 0xbf) at += token & 0x1f;
    else if (token >= 0xd9 && token <= 0xdb) {
      const width = lengthWidth(token);
      at += width + unsigned(bytes, at, width);
    } else if (FIXED[token] !== undefined && (token < FIXEXT_1 || bytes[at] === 0)) at += FIXED[token];
    else throw malformed();
  }
}

/** The array at `at`: how many elements it has, and where they start. */
function arrayAt(bytes: Uint8Array, at: number): { length: number; start: number } | undefined {
  const token = bytes[at] ?? 0;
  if (token >= FIXARRAY && token <= 0x9f) return { length: token & 0x0f, start: at + 1 };
  if (token !== 0xdc && token !== 0xdd) return undefined;
  const width = lengthWidth(token);
  return { length: unsigned(bytes, at + 1, width), start: at + 1 + width };
}

function unsigned(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = at; i < at + width; i++) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

/** How many bytes say the length, for bin, ext, str, array and map of 8, 16 and 32 bits. */
function lengthWidth(token: number): number {
  if (token >= 0xc4 && token <= 0xc6) return 2 ** (token - 0xc4);
  if (token >= 0xc7 && token <= 0xc9) return 2 ** (token - 0xc7);
  if (token >= 0xd9 && token <= 0xdb) return 2 ** (token - 0xd9);
  if (token === 0xdc || token === 0xde) return 2;
  if (token === 0xdd || token === 0xdf) return 4;
  throw new RangeError('0xc1 is no MessagePack');
}

function malformed(): RangeError {
  return new RangeError('MessagePack with an extension that is not written as msgpackr writes it');
}
