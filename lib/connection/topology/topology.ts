import type { NodeLink } from '../node-link.js';
import type { Call, RedisCommand, RedisReply } from '../redis-command.js';

/** A link that commands go over. */
export interface ServingLink {
  readonly link: NodeLink;
  /** Changes whenever keys may have moved from or to its server. */
  readonly share: number;
}

/** What a topology is doing now. */
export interface TopologyCondition {
  /** `degraded`: a part of the keys cannot be reached. */
  readonly status: 'connecting' | 'ready' | 'degraded' | 'down';
  /** Why it is not ready; a CacheConfigError if Redis refused us. */
  readonly reason?: Error | undefined;
  /** The links that commands go over. */
  readonly links: readonly ServingLink[];
}

/** Where links lead: to one server, to the master that sentinels name, or to the masters of a Cluster. */
export interface Topology {
  readonly condition: TopologyCondition;

  /** Changes whenever keys may have moved from one server to another while the links stayed. */
  readonly version: number;

  /** Begins to connect; never fails, and does nothing the second time. */
  open(): void;

  /**
   * Sends one command to where its key is and gives the reply; settles by the call's deadline.
   *
   * @throws CacheCommandError if Redis refuses it; CacheUnavailableError if there is no reply
   */
  send(words: RedisCommand, call: Call): Promise<RedisReply>;

  /**
   * Links to the servers that together hold all keys, each key once.
   *
   * @throws CacheUnavailableError if one of them cannot be reached: a walk over the others would pass for complete
   */
  masters(call: Call): Promise<readonly NodeLink[]>;

  /** Lets what is in flight be answered until that moment, then closes all links. */
  close(until: number): Promise<void>;
}
