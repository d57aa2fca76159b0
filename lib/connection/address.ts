/** One host and port of Redis, Sentinel or a Cluster node. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Where one server listens. */
export type Place = Endpoint | { readonly path: string };

export function nameOf(place: Place): string {
  return 'path' in place ? place.path : `${place.host}:${place.port}`;
}

/** Where Redis is, and who we are to it. */
export interface RedisAddress {
  readonly kind: 'standalone' | 'sentinel' | 'cluster' | 'memory';
  /** One for a single server, several for Sentinel and Cluster, none for `unix:` and `memory:`. */
  readonly endpoints: readonly Endpoint[];
  /** Of Sentinel: to the sentinels and to the master. */
  readonly tls: boolean;
  readonly path?: string;
  readonly masterName?: string;
  readonly username?: string;
  readonly password?: string;
  readonly db: number;
  /** 4 or 6 forces the IP version. */
  readonly family?: number;
}
