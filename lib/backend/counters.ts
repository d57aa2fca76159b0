/** One hit of a counter. All times are in ms. */
export interface Hit {
  readonly by: number;
  /** How long the counter lives if this hit begins it; `null`: for ever. */
  readonly ttl: number | null;
  /** The hit is refused if the count would pass this. */
  readonly limit?: number | undefined;
  /** For how long a refusal holds, whatever is left of the ttl; needs a `limit`. */
  readonly block?: Block | undefined;
}

/** The first block lasts `first`, each further one `factor` times as long, at most `longest`. */
export interface Block {
  readonly first: number;
  readonly factor: number;
  /** Blocks are forgotten when the last of them has been over for so long. */
  readonly longest: number;
}

/** What a counter says. */
export interface Count {
  readonly count: number;
  /** The ms until it begins again; `null`: never. */
  readonly ttl: number | null;
}

export interface HitResult extends Count {
  readonly allowed: boolean;
}

/**
 * Counters, a part of the port with the same rules. A counter lies under a key of its own. What is under the key and is no
 * counter is a `CacheCommandError` with the reply `WRONGTYPE`.
 */
export interface CounterBackend {
  /** Counts a hit, or refuses it, in one atomic step, by the clock of Redis. */
  hit(key: string, hit: Hit, deadline: number): Promise<HitResult>;

  /** `undefined`: the counter has not begun, or is over. */
  counter(key: string, deadline: number): Promise<Count | undefined>;
}
