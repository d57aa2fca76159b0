import { RedisBackend } from '../../lib/backend/redis.backend.js';
import { RedisConnection } from '../../lib/connection/redis-connection.js';
import { resolveConnection } from '../../lib/resolve-options.js';
import { ClusterDeployment } from '../support/cluster.js';
import { RedisServer } from '../support/redis-server.js';
import type { OpenServerBackend } from './backend-contract.js';

/** A backend on a server of its own. */
export async function openOnServer(): Promise<OpenServerBackend> {
  const server = await RedisServer.start();
  return open(
    server.url,
    [server],
    async () => server,
    () => server.stop(),
  );
}

/** A backend on a Cluster of its own. */
export async function openOnCluster(): Promise<OpenServerBackend> {
  // Frozen nodes must come back before the others vote on who replaces them.
  const cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 });
  return open(
    cluster.url,
    cluster.nodes,
    (key) => cluster.ownerOf(key),
    () => cluster.stop(),
  );
}

async function open(
  url: string,
  servers: readonly RedisServer[],
  ownerOf: (key: string) => Promise<RedisServer>,
  stop: () => Promise<void>,
): Promise<OpenServerBackend> {
  const connection = new RedisConnection(resolveConnection({ url }, () => undefined));
  try {
    await connection.open();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    backend: new RedisBackend(connection, 2 ** 20),
    redis: async (key, command, ...args) => (await ownerOf(key)).cli(command, ...args),
    freeze: () => servers.forEach((server) => server.freeze()),
    thaw: () => servers.forEach((server) => server.thaw()),
    async close() {
      await connection.close();
      await stop();
    },
  };
}
