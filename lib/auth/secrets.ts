import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 bits: beyond guessing, so that a plain hash hides it. OWASP asks for 64 bits of entropy at least, RFC 6749 (10.10) for 128. */
const SECRET_BYTES = 32;

/** 43 characters of base64url. */
export function randomToken(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a text from outside may be a token of `randomToken`, so that Redis is worth asking. */
export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9_-]{43}$/.test(text);
}

/** SHA-256 of a text, in base64url. Of a token it is safe to store, to show and to log: nobody finds the token by it. */
export function sha256(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** Compares two texts in a time that depends on their lengths alone. */
export function equalInConstantTime(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
