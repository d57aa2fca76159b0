import type { RedisCommand } from './redis-command.js';
import type { RedisConnection } from './redis-connection.js';

/** The oldest Redis with everything that is used: GETDEL, PXAT, ZADD GT. */
const OLDEST = [6, 2] as const;

/**
 * What an operator should know about the server, as warnings: none of it keeps the application from working today.
 * What a managed Redis does not tell (INFO and CONFIG are often forbidden) is not checked.
 *
 * @param keepsForever - whether a store keeps records without a ttl
 */
export async function checkServer(connection: RedisConnection, keepsForever: boolean): Promise<readonly string[]> {
  const ask = async (...command: RedisCommand): Promise<string> => {
    // Never again: some servers answer by closing the connection.
    const reply = await connection.send(command, connection.call(false));
    return String(Array.isArray(reply) ? reply.at(-1) : reply);
  };
  const info = fields(await ask('info').catch(() => ''));
  const warnings: string[] = [];
  const version = info.get('redis_version');
  // Valkey tells the Redis version that it is compatible with here, too.
  if (version && isOlder(version)) {
    warnings.push(
      `Redis ${version} is older than ${OLDEST.join('.')}, which this package needs: take() and tags will fail`,
    );
  }
  if (info.get('role') === 'slave') {
    warnings.push('the server is a replica: writes will be refused (READONLY), and reads may be out of date');
  }
  if (info.get('cluster_enabled') === '1' && !connection.isCluster) {
    warnings.push(
      'the server is a node of a Redis Cluster: use redis-cluster:// in the url, or calls for other nodes fail',
    );
  }
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction' && Number(info.get('maxmemory')) > 0) {
    warnings.push(
      `maxmemory-policy ${policy} drops ${policy.startsWith('allkeys-') ? 'any record' : 'records that expire'} ` +
        '(sessions, deny-lists) when memory is full, and the index of a tag before the records in it, which deleteByTag ' +
        'then misses: use noeviction, or delete by tag with { thorough: true }',
    );
  }
  if (keepsForever && info.get('aof_enabled') === '0' && (await ask('config', 'GET', 'save').catch(() => '?')) === '') {
    warnings.push(
      'the server has no persistence, and a store keeps records without a ttl: a restart of Redis loses them',
    );
  }
  return warnings;
}

function fields(info: string): Map<string, string> {
  return new Map(
    info.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)] as const] : [];
    }),
  );
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}
