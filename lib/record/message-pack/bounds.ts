/** Bytes that follow a token of which the token alone tells how many (MessagePack specification, "Formats"). */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0, 0xc2: 0, 0xc3: 0,
  0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
}; // prettier-ignore

/** The same of all tokens; -1: not known by the token alone. A table, since every read takes this way. */
const FOLLOW = Int8Array.from({ length: 256 }, (_, token) => {
  if (token <= 0x7f || token >= 0xe0) return 0;
  return token >= 0xa0 && token <= 0xbf ? token & 0x1f : (FIXED[token] ?? -1);
});

/** The only extensions that are read: their first bytes, and how many follow. */
const EXTENSIONS = [
  { head: [0xd4, 0x00], follow: 1 }, // `undefined`, as msgpackr writes it
  { head: [0xd6, 0xff], follow: 4 }, // the timestamps of the specification
  { head: [0xd7, 0xff], follow: 8 },
  { head: [0xc7, 12, 0xff], follow: 12 },
];

/**
 * Refuses all but one whole value of MessagePack, before a decoder sees the bytes: decoders allocate an array of the length
 * that is claimed before they see that the elements are missing. Every element takes at least one byte, so the elements that are
 * still to come cannot be more than the bytes that are left.
 *
 * @throws RangeError
 */
export function assertOneValue(bytes: Uint8Array): void {
  let left = 1;
  let at = 0;
  while (left > 0) {
    const token = bytes[at++];
    if (token === undefined || left > bytes.length - at + 1) throw malformed();
    left--;
    const follow = FOLLOW[token] ?? -1;
    if (follow >= 0) at += follow;
    else if (token <= 0x8f) left += 2 * (token & 0x0f);
    else if (token <= 0x9f) left += token & 0x0f;
    else if (token >= 0xdc && token <= 0xdf) {
      const width = token & 1 ? 4 : 2;
      left += unsigned(bytes, at, width) * (token >= 0xde ? 2 : 1);
      at += width;
    } else if ((token >= 0xc4 && token <= 0xc6) || (token >= 0xd9 && token <= 0xdb)) {
      const width = 2 ** (token >= 0xd9 ? token - 0xd9 : token - 0xc4);
      at += width + unsigned(bytes, at, width);
    } else at = endOfExtension(bytes, at - 1);
  }
  if (at !== bytes.length) throw malformed();
}

function endOfExtension(bytes: Uint8Array, at: number): number {
  const known = EXTENSIONS.find(({ head }) => head.every((byte, i) => bytes[at + i] === byte));
  if (!known) throw malformed();
  return at + known.head.length + known.follow;
}

function unsigned(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = at; i < at + width; i++) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

function malformed(): RangeError {
  return new RangeError('not one whole value of MessagePack');
}
