import { createHash } from 'node:crypto';

/*
 * Where a key of Keyv lies in the store: below its namespace, and hashed if the store does not take it. Beside the value of a hashed key
 * stands the key. A place says whether it is hashed, so a key of the application that looks so is hashed, too.
 */

const HASHED = /(^|:)#[0-9a-f]{64}$/;
/** In bytes. A store takes 512, those of its scope included, for which this leaves room. */
const LONGEST = 400;

export function prefixOf(namespace: string | undefined): string {
  return namespace ? `${namespace}:` : '';
}

export function placeOf(prefix: string, key: string): string {
  const place = prefix + key;
  const isFit = place !== '' && place.isWellFormed() && Buffer.byteLength(place) <= LONGEST && !HASHED.test(place);
  // Of UTF-16, since UTF-8 has one sign for all lone surrogates.
  return isFit ? place : `${prefix}#${createHash('sha256').update(key, 'utf16le').digest('hex')}`;
}

/** What is stored at a place. */
export function storedAt(place: string, key: string, value: unknown): unknown {
  return HASHED.test(place) ? [key, value] : value;
}

/** The reverse. */
export function entryAt(place: string, stored: unknown, prefix: string): [key: string, value: unknown] {
  if (HASHED.test(place) && Array.isArray(stored)) return [String(stored[0]), stored[1]];
  return [place.slice(prefix.length), stored];
}
