// Who takes part. `local`: answers reads from this process. `prefix` is ours to choose for most: it keeps the keys of
// all contenders apart and equally long, so that bytes in Redis compare and no one's invalidations reach another.
export const contenders = [
  { id: 'ioredis', file: './ioredis.mjs' },
  { id: 'ioredis-mget', file: './ioredis-mget.mjs' },
  { id: 'node-redis', file: './node-redis.mjs' },
  { id: 'node-redis-csc', file: './node-redis-csc.mjs', local: true },
  { id: 'connect-redis', file: './connect-redis.mjs' },
  { id: 'cache-manager', file: './cache-manager.mjs' },
  { id: 'cacheable', file: './cacheable.mjs', local: true },
  { id: 'bentocache-redis', file: './bentocache-redis.mjs' },
  { id: 'bentocache', file: './bentocache.mjs', local: true },
  { id: 'own', file: './own.mjs', own: true },
  { id: 'own-near', file: './own-near.mjs', own: true, local: true },
  { id: 'own-encrypted', file: './own-encrypted.mjs', own: true },
  { id: 'own-hashed', file: './own-hashed.mjs', own: true },
];

/** The module `{ name, open(url) }` of a contender. Throws where it cannot run here. */
export async function load(id) {
  const { file } = contenders.find((contender) => contender.id === id);
  return import(file);
}
