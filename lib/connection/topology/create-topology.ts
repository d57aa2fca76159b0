import type { ConnectionOptions } from '../connection-options.js';
import { LoginSource } from '../login.js';
import type { RedisClock } from '../redis-clock.js';
import type { LinkSettings } from '../link-settings.js';
import { ClusterTopology } from './cluster.js';
import { createSentinel } from './sentinel.js';
import { createStandalone } from './standalone.js';
import type { Topology } from './topology.js';
import type { TopologyOptions } from './topology-options.js';

/** The topology that an address is about; connects to nothing before `open`. */
export function createTopology(options: ConnectionOptions, clock: RedisClock, onChange: () => void): Topology {
  const { address, redis, credentials, timeout, startupTimeout, heartbeat, warn } = options;
  const { family = address.family, keepAlive, noDelay } = redis;
  const { username = address.username, password = address.password, db = address.db } = redis;
  const tls = redis.tls ?? (address.tls ? {} : undefined);
  const sentinelTls = redis.sentinelTLS ?? (address.tls ? tls : undefined);
  const within = (ms: number) => Math.min(Math.max(ms, 1000), 5000);
  const socket = {
    ...(family !== undefined && { family }),
    ...(keepAlive !== undefined && { keepAlive }),
    ...(noDelay !== undefined && { noDelay }),
  };
  const settings: LinkSettings = {
    login: new LoginSource({ username, password }, credentials),
    socket: { ...socket, tls },
    db,
    clientName: redis.connectionName,
    connectWithin: redis.connectTimeout ?? within(timeout),
    patience: Math.max(timeout, 100),
    doubtAfter: within(timeout),
    heartbeat,
    clock,
    warn,
  };
  const sentinelLogin = new LoginSource({ username: redis.sentinelUsername, password: redis.sentinelPassword });
  const topology: TopologyOptions = {
    address,
    settings,
    sentinel: { login: sentinelLogin, socket: { ...socket, tls: sentinelTls } },
    natMap: redis.natMap,
    timeout,
    startupTimeout,
    onChange,
  };
  switch (address.kind) {
    case 'sentinel':
      return createSentinel(topology);
    case 'cluster':
      return new ClusterTopology(topology);
    default:
      return createStandalone(topology);
  }
}
