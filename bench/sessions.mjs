// The records that all contenders store: an ordinary session of about 270 bytes as JSON, no type that JSON loses.
import { createHash } from 'node:crypto';

export const TTL = 30 * 60_000;

const pseudoRandom = (text) => createHash('sha256').update(text).digest('base64url');

export const sessionId = (i) => pseudoRandom(`session ${i}`);

export const session = (i) => ({
  userId: 100_000 + i,
  email: `user${i}@example.com`,
  roles: ['member', 'editor'],
  csrf: pseudoRandom(`csrf ${i}`).slice(0, 32),
  createdAt: '2026-01-01T08:00:00.000Z',
  lastSeenAt: '2026-01-01T08:30:00.000Z',
  ip: '203.0.113.7',
  locale: 'en-GB',
  device: { name: 'Firefox on Linux' },
});
