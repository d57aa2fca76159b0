// What the compiler has to accept of a user's code with /auth, and what it has to refuse.
import {
  type OneTimeCodes,
  RedisCacheAuthModule,
  type RefreshTokens,
  type Session,
  type Sessions,
  type SessionsOf,
} from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { expectType } from './expect-type.js';

export function options(): void {
  RedisCacheAuthModule.forFeature({ sessions: { namespace: 'session', idle: '30m', absolute: null } });
  // @ts-expect-error a session that never ends must be asked for
  RedisCacheAuthModule.forFeature({ sessions: { namespace: 'session', idle: '30m' } });
  // @ts-expect-error there is no such service
  RedisCacheAuthModule.forFeature({ session: { namespace: 'session', idle: '30m', absolute: null } });
  const wrong = { sessions: 5, when: 'evict' } as const;
  // @ts-expect-error there are two ways to keep a limit
  RedisCacheAuthModule.forFeature({ sessions: { namespace: 'session', idle: '30m', absolute: null, limit: wrong } });
}

interface Data {
  visits: number;
}

export async function services(sessions: Sessions<Data>, tokens: RefreshTokens<Data>, codes: OneTimeCodes<Data>) {
  const created = await sessions.create('user:42', { visits: 0 });
  expectType<{ readonly token: string; readonly session: Session<Data> }>().toBe<typeof created>();
  // @ts-expect-error the data are of another type
  await sessions.create('user:42', { visits: '0' });
  const found = await sessions.get(created.token);
  expectType<Session<Data> | undefined>().toBe<typeof found>();
  // @ts-expect-error there may be no session
  void found.data;
  await sessions.update(created.token, ({ visits }) => ({ visits: visits + 1 }));

  const rotation = await tokens.rotate('token');
  // @ts-expect-error not every outcome has a token
  void rotation.token;
  if (rotation.outcome === 'rotated' || rotation.outcome === 'retried') {
    expectType<Data>().toBe<typeof rotation.data>();
  }
  const redemption = await codes.redeem('login', 'user:42', '123456');
  if (redemption.outcome === 'wrong') expectType<number>().toBe<typeof redemption.attemptsLeft>();
  // @ts-expect-error a guess that was right has no attempts left
  if (redemption.outcome === 'ok') void redemption.attemptsLeft;
}

const schema = z.object({ since: z.string().transform((text) => new Date(text)) });

export async function withSchema(sessions: SessionsOf<typeof schema>): Promise<void> {
  const { session } = await sessions.create('user:42', { since: '2026-11-27' });
  expectType<Date>().toBe<typeof session.data.since>();
  // @ts-expect-error what is written is what the schema takes
  await sessions.create('user:42', { since: new Date() });
  await sessions.update('token', ({ since }) => ({ since: since.toISOString() }));
}
