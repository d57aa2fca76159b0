// Nothing that a user meets is `any`: it would switch the compiler off wherever it flows.
import type {
  CacheArgumentError,
  CacheStoreOptions,
  PutOptions,
  RedisCacheModuleOptions,
  RedisCacheStore,
  RedisConnection,
  ScanOptions,
  Serializer,
} from 'nestjs-redis-cache-store';
import { expectType } from './expect-type.js';

type IsAny<T> = 0 extends 1 & T ? true : false;
type Inside<T> = T extends Promise<infer V> | AsyncIterable<infer V> | readonly (infer V)[] ? V : T;

/** The members of which a parameter or what they give (or what is in it) is `any`. */
export type Leaks<T> = {
  [K in keyof T]-?: true extends
    | IsAny<T[K]>
    | (T[K] extends (...args: infer Args) => infer Result
        ? IsAny<Result> | IsAny<Inside<Result>> | IsAny<Inside<Inside<Result>>> | IsAny<Args[number]>
        : false)
    ? K
    : never;
}[keyof T];

/** Would the above notice? */
interface Leaky {
  value: any; // oxlint-disable-line typescript/no-explicit-any
  method(argument: any): void; // oxlint-disable-line typescript/no-explicit-any
  result(): Promise<any>; // oxlint-disable-line typescript/no-explicit-any
  items(): AsyncIterable<[string, any]>; // oxlint-disable-line typescript/no-explicit-any
  sound(argument: unknown): Promise<unknown>;
}

export function nothingLeaks(): void {
  expectType<'value' | 'method' | 'result' | 'items'>().toBe<Leaks<Leaky>>();
  expectType<never>().toBe<Leaks<RedisCacheStore>>();
  expectType<never>().toBe<Leaks<RedisConnection>>();
  expectType<never>().toBe<Leaks<RedisCacheModuleOptions>>();
  expectType<never>().toBe<Leaks<CacheStoreOptions>>();
  expectType<never>().toBe<Leaks<PutOptions>>();
  expectType<never>().toBe<Leaks<ScanOptions>>();
  expectType<never>().toBe<Leaks<Serializer>>();
  expectType<never>().toBe<Leaks<Pick<CacheArgumentError, 'code' | 'issues'>>>();
}

export async function wrongUses(store: RedisCacheStore): Promise<void> {
  // @ts-expect-error a key is a text
  await store.get(42);
  // @ts-expect-error a value is needed, and there is none to default to
  await store.put('key');
  // @ts-expect-error null means for ever when writing, and nothing when extending
  await store.touch('key', null);
  // @ts-expect-error pairs, not a dictionary
  await store.putMany({ key: 'value' });
  // @ts-expect-error a list of keys
  await store.getMany('key');
  // @ts-expect-error tags are several
  await store.put('key', 1, { tags: 'user:42' });
  // @ts-expect-error a misspelt option would silently mean its default
  await store.put('key', 1, { tll: '1h' });
  // @ts-expect-error what is listed begins with a text
  await store.keys({ prefix: /^a/ });
  // @ts-expect-error a change gives what it was given
  await store.update<number>('key', (n) => `${n}`);
  // @ts-expect-error the namespace is given by the module
  store.namespace = 'other';
  const found = await store.get('key');
  // @ts-expect-error what comes back is unknown until somebody says what it is
  void found.userId;
}
