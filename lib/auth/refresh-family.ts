import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { CacheCorruptError } from '../redis-cache.errors.js';
import type { About } from './session.js';
import { equalInConstantTime, isToken, randomToken, sha256 } from './secrets.js';

/** A refresh token: `family.sequence.secret`. */
export interface RefreshToken {
  /** 128 random bits that all tokens of a family share. */
  readonly family: string;
  /** The first token of a family has 0. */
  readonly sequence: number;
  /** 256 random bits of this token. */
  readonly secret: string;
}

/** What is stored of a family: of constant size, whatever its age. Secrets are kept as hashes. */
export interface FamilyRecord {
  readonly subject: string;
  readonly data: unknown;
  readonly about?: About;
  /** In ms since the epoch, as `rotatedAt`. */
  readonly createdAt: number;
  readonly rotatedAt: number;
  /** The ms that Redis still gave the record when it was rotated last, or issued: less what it gives now, the time since. */
  readonly left: number;
  readonly sequence: number;
  /** Hash of the secret of the token with this sequence. */
  readonly current: string;
  /** Hash of the secret before, and the current secret, sealed under a key that only the secret before gives. */
  readonly previous?: string;
  readonly successor?: string;
  /** A token of the family was used twice: no token of it is worth anything any more. */
  readonly isEnded?: true;
}

/** @throws CacheCorruptError */
export function assertFamily(value: unknown): asserts value is FamilyRecord {
  const family = (value ?? {}) as Partial<FamilyRecord>;
  const { subject, createdAt, rotatedAt, left, sequence, current, previous = '', successor = '' } = family;
  const isFamily =
    [createdAt, rotatedAt, left, sequence].every((each) => typeof each === 'number') &&
    [subject, current, previous, successor].every((each) => typeof each === 'string');
  if (!isFamily) throw new CacheCorruptError('the record is no family of refresh tokens');
}

/** Whether what was read is a family of a subject that goes on. */
export function isLiveOf(record: unknown, subject: string): boolean {
  const family = (record ?? {}) as Partial<FamilyRecord>;
  return family.subject === subject && !family.isEnded;
}

export function newFamily(): string {
  return randomBytes(16).toString('base64url');
}

export function firstToken(family: string): RefreshToken {
  return { family, sequence: 0, secret: randomToken() };
}

export function tokenText({ family, sequence, secret }: RefreshToken): string {
  return `${family}.${sequence}.${secret}`;
}

/** `undefined`: the text is none of our tokens, whatever Redis says. */
export function parseToken(text: unknown): RefreshToken | undefined {
  if (typeof text !== 'string' || text.length > 100) return undefined;
  const [family = '', sequence = '', secret = '', ...rest] = text.split('.');
  const isSound = /^[A-Za-z0-9_-]{22}$/.test(family) && /^(0|[1-9]\d{0,14})$/.test(sequence) && isToken(secret);
  return isSound && rest.length === 0 ? { family, sequence: Number(sequence), secret } : undefined;
}

/** Which token of its family this is; anything but `current` and `previous` is an older one, or made up. */
export function placeOf({ sequence, secret }: RefreshToken, family: FamilyRecord): 'current' | 'previous' | 'other' {
  const hash = sha256(secret);
  const isCurrent = equalInConstantTime(hash, family.current);
  const isPrevious = equalInConstantTime(hash, family.previous ?? '');
  if (isCurrent && sequence === family.sequence) return 'current';
  return isPrevious && sequence === family.sequence - 1 ? 'previous' : 'other';
}

/** What a family says of its secrets once `token`, its current one, was rotated to `next`. */
export function rotated(token: RefreshToken, next: RefreshToken) {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, keyFrom(token), nonce);
  const sealed = Buffer.concat([nonce, cipher.update(next.secret), cipher.final(), cipher.getAuthTag()]);
  return {
    sequence: next.sequence,
    current: sha256(next.secret),
    previous: sha256(token.secret),
    successor: sealed.toString('base64url'),
  };
}

/** The token that `token`, the previous one of its family, was rotated to. @throws CacheCorruptError */
export function successorOf(token: RefreshToken, { sequence, current, successor = '' }: FamilyRecord): RefreshToken {
  const sealed = Buffer.from(successor, 'base64url');
  try {
    const decipher = createDecipheriv(CIPHER, keyFrom(token), sealed.subarray(0, NONCE_BYTES), { authTagLength: 16 });
    decipher.setAuthTag(sealed.subarray(-16));
    const secret = decipher.update(sealed.subarray(NONCE_BYTES, -16), undefined, 'utf8') + decipher.final('utf8');
    if (equalInConstantTime(sha256(secret), current)) return { family: token.family, sequence, secret };
  } catch {
    // altered; the error of the cipher says no more
  }
  throw new CacheCorruptError('the record of a family of refresh tokens was altered');
}

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;

/** A key for one successor, which whoever has the whole token can derive (HKDF, RFC 5869), and nobody else. */
function keyFrom({ family, sequence, secret }: RefreshToken): Buffer {
  const info = `nestjs-redis-cache-store/1/refresh/${sequence}`;
  return Buffer.from(hkdfSync('sha256', secret, family, info, 32));
}
