/**
 * Values that MessagePack has no words for, as a list of nodes that it has words for. A node is `[kind, …]`. Where a part of a
 * value stands, there is its slot: the part itself, if it is null, undefined, a boolean, a number or well-formed text; `[n]`
 * for the n-th node; `[]` for a hole in an array. The list begins with the slot of the value, so the first node is number 1.
 */
export const KIND = {
  /** Name, slot, name, slot … */
  object: 0,
  /** As `object`, without a prototype. */
  bareObject: 1,
  /** Slots. */
  array: 2,
  /** Key, value, key, value … : slots. */
  map: 3,
  /** Slots. */
  set: 4,
  /** Milliseconds since the epoch, or NaN. */
  date: 5,
  /** Source, flags, `lastIndex`. */
  regexp: 6,
  /** Class, the number of properties that are not enumerable, then as `object`, those first. */
  error: 7,
  /** Class, bytes (numbers of more than one byte in the order of the machine). */
  bytes: 8,
  /** Hexadecimal digits, after a `-` if it is negative. */
  bigint: 9,
  /** UTF-16, little-endian, of text that is not well-formed. */
  text: 10,
  /** Nothing. */
  minusZero: 11,
} as const;
