import { openClient } from './node-redis.mjs';

export const name = 'node-redis, client-side cache';

// Keeps the reply (a string) in this process, invalidated by Redis on the same RESP3 connection.
export const open = (url) =>
  openClient({ url, RESP: 3, clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' } }, 'sess-s:');
