import type { RedisLogin } from 'nestjs-redis-cache-store';

/** What `DefaultAzureCredential` of `@azure/identity` is. */
interface TokenCredential {
  getToken(scope: string): Promise<{ token: string; expiresOnTimestamp: number } | null>;
}

/** Azure Managed Redis and Azure Cache for Redis with Microsoft Entra: the user name is the object id of the identity. */
export function entraCredentials(credential: TokenCredential, objectId: string): () => Promise<RedisLogin> {
  return async () => {
    const found = await credential.getToken('https://redis.azure.com/.default');
    if (!found) throw new Error('Entra gave no token');
    return { username: objectId, password: found.token, expiresAt: found.expiresOnTimestamp };
  };
}

const QUARTER_HOUR = 15 * 60_000;

/** ElastiCache and MemoryDB with IAM: `sign` makes a presigned url of the action `connect` (SigV4), which is good for 15 minutes. */
export function iamCredentials(sign: () => Promise<string>, username: string): () => Promise<RedisLogin> {
  return async () => ({ username, password: await sign(), expiresAt: Date.now() + QUARTER_HOUR });
}
