import type { CacheBackend } from '../backend/cache-backend.js';
import { inTurn, together } from '../backend/writes-in-parts.js';
import type { Keyspace } from './keyspace.js';

/** Deletes all records and counters of a namespace; the number of records. */
export async function clear(backend: CacheBackend, keyspace: Keyspace, deadline: () => number): Promise<number> {
  const isRecord = (redisKey: string) => redisKey.startsWith(keyspace.prefix);
  const remove = async (batch: readonly string[]) => {
    const kinds = [batch.filter(isRecord), batch.filter((redisKey) => !isRecord(redisKey))];
    const [records = 0] = await together(kinds.map((keys) => backend.delete(keys, deadline())));
    return records;
  };
  return inTurn(backend.scan(...keyspace.prefixes), remove);
}
