import { setTimeout as sleep } from 'node:timers/promises';
import { CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { RecordedStore } from './recorder.js';

/** What a store may do wrong, now and then. */
export type StoreDefect = keyof typeof STORE_DEFECTS;

const isTime = (share = 0.1) => Math.random() < share;

/** A store with a defect, in front of a sound one. */
export function brokenStore(store: RedisCacheStore, defect: StoreDefect): RecordedStore {
  // The methods of the class need its private fields: each is bound to the store that has them.
  const sound = new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  return Object.assign(Object.create(sound) as RecordedStore, STORE_DEFECTS[defect](store));
}

export const STORE_DEFECTS = {
  'sends a take twice': (store: RedisCacheStore) => ({
    async take(key: string) {
      const taken = await store.take(key);
      return isTime(0.9) ? store.take(key) : taken;
    },
  }),

  'loses an acknowledged put': (store: RedisCacheStore) => ({
    async put(key: string, value: unknown, options?: object) {
      if (!isTime()) await store.put(key, value, options);
    },
  }),

  'lets a timed-out write through after the delete of another': (store: RedisCacheStore) => ({
    async put(key: string, value: unknown, options?: object) {
      if (!isTime()) return store.put(key, value, options);
      void sleep(50)
        .then(() => store.put(key, value, options))
        .catch(() => undefined);
      throw new CacheUnavailableError('timeout', 'not-sent', 'no connection in time');
    },
  }),

  'serves a stale near copy': (store: RedisCacheStore) => {
    const copies = new Map<string, { value: unknown; until: number }>();
    return {
      async get(key: string) {
        const copy = copies.get(key);
        if (copy && performance.now() < copy.until) return copy.value;
        const value = await store.get(key);
        copies.set(key, { value, until: performance.now() + 300 });
        return value;
      },
    };
  },

  // Whose index it is not in.
  'misses a record of a deleteByTag': (store: RedisCacheStore) => ({
    async put(key: string, value: unknown, options?: object) {
      await store.put(key, value, isTime(0.9) ? {} : options);
    },
  }),

  'lets two moves of one record win': (store: RedisCacheStore) => ({
    async move(
      from: string,
      to: string,
      { change, ...options }: { change: (value: unknown) => unknown; tags: string[] },
    ) {
      const value = await store.get(from);
      if (value === undefined) return undefined;
      const moved = change(value);
      await sleep(10);
      await store.put(to, moved, options);
      await store.delete(from);
      return moved;
    },
  }),

  'deletes by deleteIf what was written since': (store: RedisCacheStore) => ({
    async deleteIf(key: string, test: (value: unknown) => boolean) {
      const value = await store.get(key);
      if (value === undefined || !test(value)) return false;
      await sleep(60);
      return store.delete(key);
    },
  }),

  'swaps two replies': (store: RedisCacheStore) => {
    let waiting: ((value: unknown) => unknown) | undefined;
    return {
      async get(key: string) {
        const value = await store.get(key);
        if (waiting) {
          const other = waiting(value);
          waiting = undefined;
          return other;
        }
        if (!isTime()) return value;
        const swapped = new Promise((resolve) => {
          waiting = (theirs) => {
            resolve(theirs);
            return value;
          };
        });
        return Promise.race([swapped, sleep(20, value)]).finally(() => (waiting = undefined));
      },
    };
  },
} satisfies Record<string, (store: RedisCacheStore) => object>;
