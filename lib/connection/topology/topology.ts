import type { RedisCommand } from '../call.js';
import type { Redirection } from '../failures.js';
import type { NodeLink } from '../node-link.js';

/** The link that a call goes over; or, as there is none, until when (by the monotonic clock) it may hope for one. */
export type Route = NodeLink | { readonly until: number; readonly reason?: Error | undefined };

/** What a topology is doing now. */
export interface TopologyCondition {
  /** `degraded`: a part of the keys cannot be reached. */
  readonly status: 'connecting' | 'ready' | 'degraded' | 'down';
  /** Why it is not ready; a CacheConfigError if Redis refused us. */
  readonly reason?: Error | undefined;
  /** The links that commands go over. */
  readonly links: readonly NodeLink[];
}

/** Where links lead: to one server, to the master that sentinels name, or to the masters of a Cluster. */
export interface Topology {
  readonly condition: TopologyCondition;

  /** Changes whenever keys may have moved from one server to another while the links stayed. */
  readonly version: number;

  /** Begins to connect; never fails, and does nothing the second time. */
  open(): void;

  /** Where a command goes now, of which another server may have said where it belongs; without a command, to any server. */
  route(words?: RedisCommand, redirection?: Redirection): Route;

  /** Takes in why a command failed; where it belongs instead, if its server said so, which then did not carry it out. */
  redirection(error: unknown, link: NodeLink): Redirection | undefined;

  /** The servers that together hold all keys, each key once; `undefined`: some keys are nowhere. */
  masters(within: number): Promise<readonly Pick<Topology, 'route'>[] | undefined>;

  /** Lets what is in flight be answered until that moment, then closes all links. */
  close(until: number): Promise<void>;
}
