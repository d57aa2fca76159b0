import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RedisCacheStore } from './redis-cache.store.js';

/**
 * The type of a store with a schema: what `get` gives and `put` takes follow from it. (Of the default store: `@Inject(RedisCacheStore)`.)
 *
 * @example
 * ```ts
 * const session = z.object({ userId: z.number() });
 * constructor(@InjectCacheStore('session') private readonly sessions: CacheStoreOf<typeof session>) {}
 * ```
 */
export type CacheStoreOf<Schema extends StandardSchemaV1> = RedisCacheStore<
  StandardSchemaV1.InferOutput<Schema>,
  StandardSchemaV1.InferInput<Schema>
>;
