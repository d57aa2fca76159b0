import type { NatMap } from '../../redis-connection.options.js';
import type { LinkSettings } from '../link-settings.js';
import type { Endpoint, RedisAddress } from '../redis-url.js';

/** What every topology is made of. Times in ms. */
export interface TopologyOptions {
  readonly address: RedisAddress;
  readonly settings: LinkSettings;
  /** How links to sentinels are opened. */
  readonly sentinel: Pick<LinkSettings, 'login' | 'socket'>;
  readonly natMap: NatMap | undefined;
  readonly timeout: number;
  /** For how long after `open` the servers count as connecting rather than as down. */
  readonly startupTimeout: number;
  readonly onChange: () => void;
}

/** Where a server is that announces itself as being at `place`. */
export function reachedFrom(natMap: NatMap | undefined, place: Endpoint): Endpoint {
  const key = `${place.host}:${place.port}`;
  return (typeof natMap === 'function' ? natMap(key) : natMap?.[key]) ?? place;
}
