import type { Place } from '../link-settings.js';
import { NodeLink } from '../node-link.js';
import { SupervisedNode } from '../supervised-node.js';
import type { Topology } from './topology.js';
import type { TopologyOptions } from './topology-options.js';

/** One server at one address. */
export function createStandalone({ address, settings, timeout, startupTimeout, onChange }: TopologyOptions): Topology {
  const [endpoint = { host: 'localhost', port: 6379 }] = address.endpoints;
  const place: Place = address.path === undefined ? endpoint : { path: address.path };
  return new SupervisedNode({
    timeout,
    patience: startupTimeout,
    onChange,
    connect: (signal) => NodeLink.open(place, settings, signal),
  });
}
