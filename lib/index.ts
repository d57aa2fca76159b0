export type { ConnectionStatus } from './connection/redis-connection.js';
export { RedisConnection } from './connection/redis-connection.js';
export type { Duration } from './redis-cache.duration.js';
export type { CallOutcome, UnavailableReason } from './redis-cache.errors.js';
export {
  CacheArgumentError,
  CacheCommandError,
  CacheConfigError,
  CacheCorruptError,
  CacheLimitError,
  CacheUnavailableError,
  RedisCacheError,
} from './redis-cache.errors.js';
export type {
  CacheStoreAsyncOptions,
  CacheStoreOptionsFactory,
  RedisCacheModuleAsyncOptions,
  RedisCacheOptionsFactory,
} from './redis-cache.module.js';
export { CacheUnavailableFilter } from './redis-cache.filter.js';
export { RedisCacheModule } from './redis-cache.module.js';
export type {
  BlockOptions,
  CacheCounter,
  CacheHit,
  CacheRecord,
  CacheStoreBehavior,
  CacheStoreOptions,
  DeleteByTagOptions,
  EncryptionKey,
  EncryptionOptions,
  GetOptions,
  IncrementOptions,
  MoveOptions,
  NearCacheOptions,
  PutOptions,
  RedisCacheModuleOptions,
  Replacement,
  ScanOptions,
  TagLimit,
  Serializer,
  WalkOptions,
} from './redis-cache.options.js';
export type {
  CacheCallFailure,
  CacheCallMessage,
  CacheConnectionMessage,
  CacheConnectionSource,
  CacheNearMessage,
  CacheSessionMessage,
} from './redis-cache.diagnostics.js';
export {
  getCacheStoreToken,
  getRedisConnectionToken,
  InjectCacheStore,
  InjectRedisConnection,
} from './redis-cache.tokens.js';
export type { CacheStoreOf } from './store/cache-store-of.js';
export { RedisCacheStore } from './store/redis-cache.store.js';
export type { RecordChange } from './store/watches.js';
export { jsonSerializer } from './record/json-serializer.js';
export { messagePackSerializer } from './record/message-pack/serializer.js';
export type { IoredisClient, NatMap, RedisConnectionOptions, RedisLogin } from './redis-connection.options.js';
