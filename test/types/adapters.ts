// What the compiler accepts of the adapters: each fits where its peer takes it, and none of their members is `any`.
import type { SessionStore } from '@fastify/session';
import type { ThrottlerStorage } from '@nestjs/throttler';
import type { SecondaryStorage } from 'better-auth';
import type { SessionData, SessionOptions, Store } from 'express-session';
import type { KeyvStoreAdapter } from 'keyv';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { redisCacheSecondaryStorage } from 'nestjs-redis-cache-store/better-auth';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';
import { RedisCacheThrottlerStorage } from 'nestjs-redis-cache-store/throttler';
import { expectType } from './expect-type.js';
import type { Leaks } from './no-any.js';

export async function sessions(store: RedisCacheStore): Promise<void> {
  const made = new RedisCacheSessionStore(store, { legacy: 'connect-redis' });
  const options: Pick<SessionOptions, 'store'> = { store: made };
  const [express, fastify]: [Store, SessionStore] = [made, made];
  void [options, express, fastify];
  const found = await made.get('id');
  expectType<SessionData | null>().toBe<typeof found>();
  expectType<Promise<string[]>>().toBe<ReturnType<typeof made.ids>>();
  expectType<never>().toBe<Leaks<Omit<RedisCacheSessionStore, keyof Inherited>>>();
  expectType<never>().toBe<
    Leaks<
      Pick<
        RedisCacheSessionStore,
        'get' | 'set' | 'touch' | 'destroy' | 'regenerate' | 'createSession' | 'all' | 'clear'
      >
    >
  >();
  // @ts-expect-error there is one program whose sessions are read
  void new RedisCacheSessionStore(store, { legacy: 'connect-mongo' });
  // @ts-expect-error the prefix is the namespace of the store
  void new RedisCacheSessionStore(store, { prefix: 'sess:' });
  // @ts-expect-error a store of this package, not a client
  void new RedisCacheSessionStore({ url: 'redis://localhost' });
}

export async function keyv(store: RedisCacheStore): Promise<void> {
  const adapter = new RedisCacheKeyvAdapter(store);
  const fitting: KeyvStoreAdapter = adapter;
  void fitting;
  const found = await adapter.get<number>('key');
  expectType<number | undefined>().toBe<typeof found>();
  expectType<never>().toBe<Leaks<Omit<RedisCacheKeyvAdapter, keyof Inherited>>>();
  // @ts-expect-error a store of this package, not a url
  void new RedisCacheKeyvAdapter('redis://localhost');
}

export async function throttler(store: RedisCacheStore): Promise<void> {
  const storage: ThrottlerStorage = new RedisCacheThrottlerStorage(store);
  const hit = await storage.increment('key', 1000, 5, 0, 'default');
  expectType<number>().toBe<typeof hit.totalHits>();
  expectType<never>().toBe<Leaks<RedisCacheThrottlerStorage>>();
  // @ts-expect-error a store of this package is needed
  void new RedisCacheThrottlerStorage();
}

export function betterAuth(store: RedisCacheStore): void {
  const storage = redisCacheSecondaryStorage(store);
  const fitting: SecondaryStorage = storage;
  void fitting;
  expectType<Promise<number>>().toBe<ReturnType<typeof storage.increment>>();
  expectType<never>().toBe<Leaks<typeof storage>>();
  // @ts-expect-error a store of this package is needed
  redisCacheSecondaryStorage({});
}

/** Of Node's EventEmitter, whose arguments are of any type. */
type Inherited = import('node:events').EventEmitter & Pick<Store, 'load' | 'createSession' | 'regenerate'>;
