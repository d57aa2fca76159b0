/** Bytes that follow a token's first byte, for the tokens 0xc0–0xdf of fixed size (MessagePack specification, "Formats"). */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0, 0xc2: 0, 0xc3: 0,
  0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
  0xd4: 2, 0xd5: 3, 0xd6: 5, 0xd7: 9, 0xd8: 17,
}; // prettier-ignore

/**
 * Refuses MessagePack that claims more than it holds: a decoder allocates an array of the claimed length before it sees
 * that the elements are missing. Every element takes at least one byte and belongs to one container, so the claims
 * of all containers together cannot exceed the number of bytes.
 *
 * @throws RangeError
 */
export function assertBounded(bytes: Uint8Array): void {
  const { length } = bytes;
  let claimed = 0;
  for (let at = 0; at < length;) {
    const token = bytes[at++] ?? 0;
    if (token <= 0x7f || token >= 0xe0) continue;
    if (token <= 0x8f) claimed += 2 * (token & 0x0f);
    else if (token <= 0x9f) claimed += token & 0x0f;
    else if (token <= 0xbf) at += token & 0x1f;
    else if (FIXED[token] !== undefined) at += FIXED[token];
    else {
      const width = lengthWidth(token);
      let size = 0;
      for (let i = 0; i < width; i++) size = size * 256 + (bytes[at++] ?? 0);
      if (token >= 0xde) claimed += 2 * size;
      else if (token >= 0xdc) claimed += size;
      else at += size + (token <= 0xc9 && token >= 0xc7 ? 1 : 0);
    }
    if (claimed > length || at > length) throw new RangeError('MessagePack claims more than it holds');
  }
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
