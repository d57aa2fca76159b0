// What the compiler has to accept of a user's code, and what it has to refuse.
import type { DynamicModule } from '@nestjs/common';
import {
  type CacheCounter,
  type CacheRecord,
  CacheUnavailableError,
  type CacheStoreOf,
  RedisCacheError,
  RedisCacheModule,
  type RedisCacheStore,
  type RedisConnection,
} from 'nestjs-redis-cache-store';
import type { Observable } from 'rxjs';
import { z } from 'zod';
import { expectType } from './expect-type.js';

interface Session {
  userId: number;
  since: Date;
}

export async function store(sessions: RedisCacheStore, session: Session): Promise<void> {
  expectType<Promise<void>>().toBe<ReturnType<typeof sessions.put>>();
  await sessions.put('key', session, { ttl: '30m', tags: ['user:42'] });
  await sessions.put('key', session, { ttl: null });
  // @ts-expect-error a ttl of true means nothing
  await sessions.put('key', session, { ttl: true });

  const found = await sessions.get<Session>('key');
  expectType<Session | undefined>().toBe<typeof found>();
  // @ts-expect-error a record may be absent
  void found.userId;
  const unnamed = await sessions.get('key');
  expectType<unknown>().toBe<typeof unnamed>(); // not any: the caller has to say what it is

  const many = await sessions.getMany<Session>(['a', 'b']);
  expectType<(Session | undefined)[]>().toBe<typeof many>();
  const taken = await sessions.take<Session>('key');
  expectType<Session | undefined>().toBe<typeof taken>();
  const loaded = await sessions.getOrPut('key', () => session);
  expectType<Session>().toBe<typeof loaded>();
  const updated = await sessions.update<Session>('key', (current) => ({ ...current, userId: current.userId + 1 }));
  expectType<Session | undefined>().toBe<typeof updated>();
  // @ts-expect-error what replaces a session is a session
  await sessions.update<Session>('key', (current) => current.userId);

  const hit = await sessions.increment('key', { by: 2, ttl: '1h', limit: 5, block: { first: '1m', factor: 2 } });
  expectType<{ count: number; ttl: number | null; allowed: boolean; retryAfter: number }>().toBe<{
    [K in keyof typeof hit]: (typeof hit)[K];
  }>();
  const counter = await sessions.counter('key');
  expectType<CacheCounter | undefined>().toBe<typeof counter>();
  // @ts-expect-error a block begins with some duration
  await sessions.increment('key', { limit: 5, block: { factor: 2 } });
  expectType<Promise<boolean>>().toBe<ReturnType<typeof sessions.resetCounter>>();

  const moved = await sessions.move<Session>('a', 'b', {
    change: (current) => ({ ...current, userId: 1 }),
    ttl: null,
    tags: ['x'],
    grace: '10s',
  });
  expectType<Session | undefined>().toBe<typeof moved>();
  // @ts-expect-error the changed session is a session
  await sessions.move<Session>('a', 'b', { change: (current) => current.userId });
  await sessions.update<Session>('key', (current) => current, { expiresAt: new Date(), tags: [] });
  await sessions.putMany([['a', session, { ttl: '1h' }]], { expiresAt: 5 });
  expectType<Promise<boolean>>().toBe<ReturnType<typeof sessions.deleteIf>>();
  await sessions.deleteIf<Session>('key', ({ userId }) => userId === 42);
  // @ts-expect-error a test answers with a boolean
  await sessions.deleteIf<Session>('key', ({ userId }) => userId);
  const inspected = await sessions.inspect<Session>('key');
  expectType<CacheRecord<Session> | undefined>().toBe<typeof inspected>();
  for await (const record of sessions.records<Session>({ tag: 'user:42', onCorrupt: 'skip' })) {
    expectType<CacheRecord<Session>>().toBe<typeof record>();
  }
  // @ts-expect-error a walk throws or skips
  sessions.entries({ onCorrupt: 'miss' });
  expectType<Promise<number>>().toBe<ReturnType<typeof sessions.count>>();
  await sessions.clear({ prefix: 'a', tag: 'b' });
  expectType<RedisCacheStore>().toBe<ReturnType<typeof sessions.scope>>();

  const ttl = await sessions.ttl('key');
  expectType<number | null | undefined>().toBe<typeof ttl>();
  for await (const [key, value] of sessions.entries<Session>({ prefix: 'a' })) {
    expectType<[string, Session]>().toBe<[typeof key, typeof value]>();
  }
}

const schema = z.object({ userId: z.number(), role: z.string().default('guest') });

export async function storeWithSchema(sessions: CacheStoreOf<typeof schema>): Promise<void> {
  await sessions.put('key', { userId: 42 });
  // @ts-expect-error the schema says what goes in
  await sessions.put('key', { userId: 'forty-two' });
  const found = await sessions.get('key');
  expectType<{ userId: number; role: string } | undefined>().toBe<typeof found>();
}

export function module(): DynamicModule[] {
  // @ts-expect-error a namespace is what tells stores apart
  RedisCacheModule.forFeature({ ttl: '2h' });
  // @ts-expect-error there are two ways to start
  RedisCacheModule.forRoot({ startup: 'later' });
  return [
    RedisCacheModule.forRoot(),
    RedisCacheModule.forRoot({ url: 'memory:', namespace: 'session', ttl: 1000, isGlobal: false }),
    RedisCacheModule.forRootAsync({ useFactory: () => Promise.resolve({ url: 'memory:' }) }),
    RedisCacheModule.forFeature({ namespace: 'reset-token', ttl: '2h' }, { namespace: 'a', name: 'b', schema }),
    RedisCacheModule.forFeatureAsync({ name: 'reset-token', useFactory: () => ({ namespace: 'reset-token' }) }),
  ];
}

export function connection({ status, status$ }: RedisConnection): void {
  type Status = 'connecting' | 'ready' | 'degraded' | 'down' | 'closed';
  expectType<Status>().toBe<typeof status>();
  expectType<Observable<Status>>().toBe<typeof status$>();
}

export function answer(error: unknown): string {
  if (error instanceof CacheUnavailableError) {
    expectType<'disconnected' | 'timeout' | 'closed'>().toBe<typeof error.reason>();
    expectType<'not-sent' | 'unknown'>().toBe<typeof error.outcome>();
  }
  return error instanceof RedisCacheError ? error.code : 'not ours';
}
