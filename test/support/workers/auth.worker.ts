// A second instance of the application: the store of REDIS_URL and STORE (its options, as JSON), used by many at once.
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { CacheLimitError, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import type { MoveOptions, PutOptions, RedisCacheModuleOptions } from 'nestjs-redis-cache-store';

const options = JSON.parse(process.env['STORE'] ?? '{}') as RedisCacheModuleOptions;
const module = RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? '', ...options });
const app = await NestFactory.createApplicationContext(module, { logger: false });
const store = app.get(RedisCacheStore);

/** A record of a churn. */
export interface Session {
  /** Of the put that created it. */
  id: string;
  changes: number;
}

/** Waits for a moment of `Date.now()`, so that several processes begin together. */
async function together(at: number): Promise<void> {
  await sleep(Math.max(0, at - Date.now() - 2));
  while (Date.now() < at);
}

function many<T>(callers: number, call: (i: number) => T | Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: callers }, async (_, i) => call(i)));
}

/** What each of so many callers took. */
export async function take(keys: readonly string[], callers: number, at: number): Promise<unknown[]> {
  await together(at);
  const taken = await Promise.all(keys.map((key) => many(callers, () => store.take(key))));
  return taken.flat().filter((value) => value !== undefined);
}

/** How many of so many callers were the first. */
export async function putIfAbsent(key: string, callers: number, at: number): Promise<number> {
  await together(at);
  return (await many(callers, () => store.putIfAbsent(key, process.pid))).filter(Boolean).length;
}

export async function increment(key: string, callers: number, at: number): Promise<void> {
  await together(at);
  await many(callers, () => store.update(key, (count: number) => count + 1));
}

/** Rewrites and extends records, all at once, in each of the ways that must not bring back what is gone. */
export async function rewrite(keys: readonly string[], callers: number, at: number): Promise<void> {
  await together(at);
  const ways = [
    (key: string) => store.replace(key, 'replaced'),
    (key: string) => store.replace(key, 'replaced', { ttl: '2h', tags: ['user:42'] }),
    (key: string) => store.replace(key, 'replaced', { tags: ['user:42'] }),
    (key: string) => store.touch(key, '2h'),
    (key: string) => store.get(key, { touch: '2h' }),
    (key: string) => store.update(key, () => 'updated'),
  ];
  await Promise.all(keys.map((key) => many(callers, (i) => ways[i % ways.length]?.(key))));
}

/** How often something ran that so many callers asked for. */
export async function load(key: string, callers: number, at: number): Promise<number> {
  let loads = 0;
  await together(at);
  const slow = async () => {
    loads++;
    return sleep(100, 'loaded');
  };
  await many(callers, () => store.getOrPut(key, slow));
  return loads;
}

const churning = { on: false };
let churns: Promise<unknown> = Promise.resolve();
const acknowledged = new Map<string, bigint>();

/**
 * Until `endChurn`, 25 callers sign in and out with sessions of this process, and use those of all processes.
 * Only one of them puts and replaces under a key, so that an id never returns by a replace that came late.
 */
export function churn(own: readonly string[], all: readonly string[], tag: string): void {
  churning.on = true;
  churns = many(25, async (caller) => {
    for (let round = 0; churning.on; round++) {
      const key = own[caller % own.length] ?? '';
      const other = all[(round * 7 + caller) % all.length] ?? '';
      const session: Session = { id: `${process.pid}/${caller}/${round}`, changes: 0 };
      const ttl = [null, '1h', 40, 400][round % 4];
      await store.put(key, session, { ttl, tags: [tag] });
      acknowledged.set(session.id, process.hrtime.bigint());
      await store.get(other);
      // A session that no index knew before.
      const fresh: Session = { id: `${session.id}/fresh`, changes: 0 };
      await store.put(fresh.id, fresh, { ttl: ['1h', null, 200][round % 3], tags: [tag] });
      acknowledged.set(fresh.id, process.hrtime.bigint());
      await store.touch(fresh.id, '3h');
      await store.putIfAbsent(fresh.id, { id: `${fresh.id} again`, changes: 0 }, { ttl: '1m', tags: [tag] });
      await store.update(other, (current: Session) => ({ ...current, changes: current.changes + 1 }));
      await store.replace(key, { ...session, changes: 100 });
      await store.touch(other, '2h');
      await store.replace(key, session, { ttl: '1h', tags: [tag] });
      await store.replace(key, session, { tags: [tag] });
      await store.get(other, { touch: '1h' });
      if (round % 5 === 0) await store.delete(key);
    }
  });
}

/** When each put of the churn was acknowledged, in ns of a clock that all processes share. */
export async function endChurn(): Promise<ReadonlyMap<string, bigint>> {
  churning.on = false;
  await churns;
  return acknowledged;
}

/** Which counts so many hits of a counter with a limit were allowed with. */
export async function hit(key: string, limit: number, callers: number, at: number): Promise<number[]> {
  await together(at);
  const hits = await many(callers, () => store.increment(key, { limit }));
  return hits.flatMap(({ allowed, count }) => (allowed ? [count] : []));
}

/** The keys that were written of so many records that want a tag with a limit. */
export async function putLimited(tag: string, records: number, callers: number, at: number): Promise<string[]> {
  await together(at);
  const written = await many(callers, async (i) => {
    const key = `${process.pid}/${i}`;
    try {
      const limited = { tags: [tag, 'other'], limit: { tag, records } };
      if (i % 2) await store.put(key, i, limited);
      else await store.putIfAbsent(key, i, limited);
      return key;
    } catch (error) {
      if (error instanceof CacheLimitError) return undefined;
      throw error;
    }
  });
  return written.filter((key) => key !== undefined);
}

/** The new keys of those of so many callers whose move of a record won. */
export async function moveOften(from: string, callers: number, at: number): Promise<string[]> {
  await together(at);
  const keys = await many(callers, async (i) => {
    const to = `to ${process.pid}/${i}`;
    return (await store.move(from, to)) === undefined ? undefined : to;
  });
  return keys.filter((key) => key !== undefined);
}

/** A single move. */
export function move(from: string, to: string, how: MoveOptions<unknown, unknown>): Promise<unknown> {
  return store.move(from, to, how);
}

/** Any other call. */
export function perform(method: keyof RedisCacheStore, args: readonly unknown[]): Promise<unknown> {
  return Reflect.apply(store[method] as (...args: unknown[]) => Promise<unknown>, store, [...args]);
}

/** An update that leaves the id of a session. */
export function change(key: string, how: PutOptions): Promise<unknown> {
  return store.update<Session>(key, (session) => ({ ...session, changes: session.changes + 1 }), how);
}
