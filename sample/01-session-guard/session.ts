import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/** What the store keeps under a session id. The Date comes back as a Date. */
export const sessionSchema = z.object({
  userId: z.number(),
  createdAt: z.date(),
  userAgent: z.string(),
});

export type Session = z.infer<typeof sessionSchema>;

/** The session of a request: the record, and the id it was found under. */
export type OwnSession = Session & { id: string };

/** A session id or reset token: 256 random bits, which nobody guesses and no two logins share. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** What `newSecret` makes. Anything else cannot be a key of ours and is not looked up. */
export const SECRET = /^[\w-]{43}$/;

/** Enough of a session id to tell sessions apart, too little to use one. */
export function shortened(id: string): string {
  return id.slice(0, 8);
}

/** All sessions, and all reset tokens, of one user. */
export function userTag(userId: number): string {
  return `user:${userId}`;
}
