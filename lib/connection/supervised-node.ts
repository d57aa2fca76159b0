import { CacheConfigError, CacheUnavailableError } from '../redis-cache.errors.js';
import { delay, now } from '../redis-cache.timers.js';
import { pauseBeforeAttempt } from './backoff.js';
import { BLIP } from './call.js';
import { describe } from './failures.js';
import type { NodeLink } from './node-link.js';
import type { Route, Topology, TopologyCondition } from './topology/topology.js';

/** What one server is to us at the moment; see `route` for what that means to a call. Moments are of the monotonic clock. */
type State =
  /** Nobody has asked for it yet. */
  | { readonly is: 'idle' }
  /** Not ready yet, and not expected to be before `until`. */
  | { readonly is: 'connecting'; readonly until: number; readonly reason?: Error }
  | { readonly is: 'ready'; readonly link: NodeLink }
  /** Silent for long, perhaps since this process was suspended: being asked for a sign of life. */
  | { readonly is: 'doubted'; readonly link: NodeLink }
  | { readonly is: 'down'; readonly since: number; readonly reason: Error }
  | { readonly is: 'closed'; readonly reason: Error };

/** A connection that was lost sooner than that proves nothing: a balancer with a dead server behind it gives such. In ms. */
const STABLE_AFTER = 100;

const CLOSED = new CacheUnavailableError('closed', 'not-sent', 'this application closed the connection to Redis');

export interface NodeOptions {
  /** How long a call may take, in ms. */
  readonly timeout: number;
  /** For how long after `open` the server counts as connecting rather than as down, in ms. */
  readonly patience: number;
  /** Opens a link to where the server is now. @throws an error that names the address */
  readonly connect: (signal: AbortSignal) => Promise<NodeLink>;
  /** Told after each change of the state, and of each failed attempt. */
  readonly onChange: () => void;
}

/**
 * One server, or whatever server plays its part, with a link that is opened again whenever it ends: after 25 ms to 2 s.
 */
export class SupervisedNode implements Topology {
  /** One server has all keys, as long as the link lasts. */
  readonly version = 0;
  private state: State = { is: 'idle' };
  readonly #options: NodeOptions;
  readonly #abort = new AbortController();
  #supervised: Promise<void> | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  get condition(): TopologyCondition {
    const { state } = this;
    switch (state.is) {
      case 'idle':
      case 'connecting':
        return { status: 'connecting', reason: 'reason' in state ? state.reason : undefined, links: [] };
      case 'ready':
      case 'doubted':
        return { status: 'ready', links: [state.link] };
      case 'down':
      case 'closed':
        return { status: 'down', reason: state.reason, links: [] };
    }
  }

  open(): void {
    if (this.state.is !== 'idle') return;
    const { patience } = this.#options;
    const until = now() + patience;
    this.#become({ is: 'connecting', until });
    void delay(patience, this.#abort.signal).then(() => {
      if (this.state.is !== 'connecting') return;
      this.#become({ is: 'down', since: until, reason: this.state.reason ?? new Error('not ready in time') });
    });
    this.#supervised = this.#supervise();
  }

  route(): Route {
    const { state } = this;
    switch (state.is) {
      case 'idle':
        this.open();
        return { until: Infinity };
      case 'ready':
        if (!state.link.isDoubtful) return state.link;
        this.#doubt(state.link);
        return { until: Infinity };
      case 'connecting':
        return { until: Infinity, reason: state.reason };
      case 'doubted':
        return { until: Infinity };
      case 'down':
        return { until: state.since + this.#options.timeout * BLIP, reason: state.reason };
      case 'closed':
        return { until: -Infinity, reason: state.reason };
    }
  }

  /** One server knows of no other. */
  redirection(): undefined {}

  async masters(): Promise<readonly SupervisedNode[]> {
    return [this];
  }

  async close(until: number, reason: Error = CLOSED): Promise<void> {
    const { state } = this;
    if (state.is === 'closed') return;
    const link = 'link' in state ? state.link : undefined;
    // What waits for a link that is not there will not get it any more; what was sent may still be answered.
    if (link) await link.drain(until);
    this.#become({ is: 'closed', reason });
    this.#abort.abort();
    link?.destroy(reason);
    await this.#supervised;
  }

  /** One link after the other until `close()`. */
  async #supervise(): Promise<void> {
    const { signal } = this.#abort;
    for (let attempts = 1; !signal.aborted; attempts++) {
      try {
        const link = await this.#options.connect(signal);
        if (signal.aborted) return link.destroy(undefined);
        const since = now();
        this.#become({ is: 'ready', link });
        const reason = await link.ended;
        if (now() - since >= STABLE_AFTER) attempts = 0;
        this.#fail(reason);
      } catch (error) {
        this.#fail(error);
      }
      await delay(pauseBeforeAttempt(attempts), signal);
    }
  }

  /** The link is gone, or could not be had. */
  #fail(error: unknown): void {
    const reason = error instanceof CacheConfigError ? error : describe(error);
    const { state } = this;
    switch (state.is) {
      case 'connecting':
        if (reason instanceof CacheConfigError) this.#become({ is: 'down', since: -Infinity, reason });
        else this.#become({ ...state, reason });
        break;
      case 'ready':
      case 'doubted':
        this.#become({ is: 'down', since: now(), reason });
        break;
      case 'down':
        this.#become({ ...state, reason });
        break;
      case 'idle':
      case 'closed':
    }
  }

  #doubt(link: NodeLink): void {
    this.#become({ is: 'doubted', link });
    void link.probe(this.#options.timeout * BLIP).then(() => {
      if (this.state.is === 'doubted' && this.state.link === link && !link.hasEnded)
        this.#become({ is: 'ready', link });
    });
  }

  #become(state: State): void {
    if (this.state.is === 'closed') return;
    this.state = state;
    this.#options.onChange();
  }
}
