import type { RedisCommand } from './connection/call.js';
import type { RedisConnection } from './connection/redis-connection.js';

/** The oldest Redis with everything that is used: PXAT, ZADD GT. */
const OLDEST = 6.2;

/**
 * What an operator should know about the server, as warnings: none of it keeps the application from working today.
 * What a managed Redis does not tell (INFO and CONFIG are often forbidden) is not checked.
 *
 * @param keepsForever - whether a store keeps records without a ttl
 */
export async function checkServer(connection: RedisConnection, keepsForever: boolean): Promise<readonly string[]> {
  const ask = async (...command: RedisCommand): Promise<string | undefined> => {
    // Never again: some servers answer by closing the connection.
    const reply = await connection.send(command, connection.call(false)).catch(() => undefined);
    return reply === undefined ? undefined : String(Array.isArray(reply) ? reply.at(-1) : reply);
  };
  const info = (await ask('info')) ?? '';
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const version = field('redis_version'); // Valkey tells the Redis version that it is compatible with here, too.
  const policy = field('maxmemory_policy') ?? 'noeviction';
  const victims = policy.startsWith('allkeys-') ? 'any record' : 'records that expire';
  const lazily = await ask('config', 'GET', 'lazyfree-lazy-expire');
  const mayLose = keepsForever && field('aof_enabled') === '0' && lazily !== undefined;
  return [
    Number.parseFloat(version ?? '') < OLDEST &&
      `Redis ${version} is older than ${OLDEST}, which this package needs: tags and expiresAt will fail`,
    field('role') === 'slave' &&
      'the server is a replica: writes will be refused (READONLY), and reads may be out of date',
    field('redis_mode') === 'sentinel' &&
      'the server is a sentinel: it keeps no records, and every call will fail; use redis-sentinel:// in the url',
    field('cluster_enabled') === '1' &&
      !connection.isCluster &&
      'the server is a node of a Redis Cluster: use redis-cluster:// in the url, or calls for other nodes fail',
    policy !== 'noeviction' &&
      `maxmemory-policy ${policy} drops ${victims} (sessions, deny-lists) when memory is full, and the index of a tag before ` +
        'the records in it, which deleteByTag then misses: use noeviction, or delete by tag with { thorough: true }',
    lazily === 'no' &&
      'lazyfree-lazy-expire is "no": set it to "yes", or Redis stands still while the index of a tag with very many records expires',
    mayLose &&
      (await ask('config', 'GET', 'save')) === '' &&
      'the server has no persistence, and a store keeps records without a ttl: a restart of Redis loses them',
  ].filter((warning) => warning !== false);
}
