import { randomBytes } from 'node:crypto';

/**
 * What ties a record to its places in tag indexes: 11 letters of base64url. Four bytes tell, in seconds since the epoch, when
 * the write that makes the record is over for sure; four are random, so that no two records under one key share an incarnation.
 */
export function newIncarnation(over: number): string {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(Math.ceil(over / 1000) % 2 ** 32);
  randomBytes(4).copy(bytes, 4);
  return bytes.toString('base64url');
}

/** When the write that makes the record of an incarnation is over, in ms since the epoch. */
export function writeIsOverAt(incarnation: string): number {
  const bytes = Buffer.from(incarnation, 'base64url');
  return bytes.length < 4 ? 0 : bytes.readUInt32BE() * 1000;
}

/** The letters of an incarnation. */
export const INCARNATION_LETTERS = 11;
