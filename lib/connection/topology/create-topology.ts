import { NodeLink } from '../node-link.js';
import type { RedisClock } from '../redis-clock.js';
import { linkSettings } from '../settings.js';
import type { ConnectionOptions } from '../settings.js';
import { SupervisedNode } from '../supervised-node.js';
import { ClusterTopology } from './cluster.js';
import { Sentinels } from './sentinel.js';
import type { Topology } from './topology.js';

/** The topology that an address is about; connects to nothing before `open`. */
export function createTopology(options: ConnectionOptions, clock: RedisClock, onChange: () => void): Topology {
  const { address, timeout, startupTimeout: patience } = options;
  const settings = linkSettings(options, clock);
  if (address.kind === 'cluster') return new ClusterTopology(options, settings, onChange);
  const [endpoint = { host: 'localhost', port: 6379 }] = address.endpoints;
  const place = address.path === undefined ? endpoint : { path: address.path };
  const sentinels = address.kind === 'sentinel' ? new Sentinels(options, settings) : undefined;
  const connect = (signal: AbortSignal) => sentinels?.connect(signal) ?? NodeLink.open(place, settings, signal);
  return new SupervisedNode({ timeout, patience, onChange, connect });
}
