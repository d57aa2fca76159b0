import { CacheConfigError, CacheUnavailableError } from '../redis-cache.errors.js';
import { countRetry } from '../redis-cache.diagnostics.js';
import { delay, now } from '../redis-cache.timers.js';
import { Backoff } from './backoff.js';
import { describe } from './failures.js';
import type { NodeLink } from './node-link.js';
import type { Call, RedisCommand, RedisReply } from './redis-command.js';
import type { Topology, TopologyCondition } from './topology/topology.js';
import { BLIP, mayRepeat, pauseBefore } from './repetition.js';
import { WaitingRoom } from './waiting-room.js';

/** What one server is to us at the moment. Moments are of the monotonic clock. */
type State =
  /** Nobody has asked for it yet. */
  | { readonly is: 'idle' }
  /** Not ready yet, and not expected to be before `until`. */
  | { readonly is: 'connecting'; readonly until: number; readonly reason?: Error }
  | { readonly is: 'ready'; readonly link: NodeLink }
  /** Silent for long, perhaps since this process was suspended: being asked for a sign of life. */
  | { readonly is: 'doubted'; readonly link: NodeLink }
  | { readonly is: 'down'; readonly since: number; readonly reason: Error }
  | { readonly is: 'closed'; readonly reason?: Error };

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
 * One server, or whatever server plays its part, with a link that is opened again whenever it ends: each interruption is decided
 * about here.
 *
 * | state        | meaning                                         | a call                                               |
 * | ------------ | ----------------------------------------------- | ---------------------------------------------------- |
 * | `idle`       | never asked for                                 | opens it                                             |
 * | `connecting` | not ready yet, within the patience              | waits for it, for the call's own `timeout`           |
 * | `ready`      | logged in, database selected, PING answered     | is sent                                              |
 * | `doubted`    | silent for long, a PING is on its way           | waits for the answer, or for a new link              |
 * | `down`       | lost or refused; new attempts every 25 ms – 2 s | waits until `timeout / 4` after the loss, then fails |
 * | `closed`     | `close()` was called                            | fails                                                |
 *
 * When a link is lost, commands in flight fail at once; reads are repeated on the next link if it comes in time, writes never:
 * they may have been carried out (`unknown`).
 */
export class SupervisedNode implements Topology {
  /** One server has all keys, as long as the link lasts. */
  readonly version = 0;
  private state: State = { is: 'idle' };
  private readonly waitingRoom = new WaitingRoom();
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
        return { status: 'ready', links: [{ link: state.link, share: 0 }] };
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
      if (this.state.is === 'connecting') this.#become({ is: 'down', since: until, reason: notReadyYet(this.state) });
    });
    this.#supervised = this.#supervise();
  }

  async send(words: RedisCommand, call: Call): Promise<RedisReply> {
    for (let failures = 0, repeated = false; ; failures++) {
      const link = this.usable ?? (await this.link(call));
      try {
        call.prelude?.(link);
        return await link.send(words, call.deadline);
      } catch (error) {
        if (!mayRepeat(error, call, this.#options.timeout, repeated)) throw error;
        repeated ||= error.outcome === 'unknown';
        await delay(pauseBefore(failures));
        countRetry();
      }
    }
  }

  async masters(call: Call): Promise<readonly NodeLink[]> {
    return [await this.link(call)];
  }

  /** The link, if there is one that needs no doubt. */
  get usable(): NodeLink | undefined {
    return this.state.is === 'ready' && !this.state.link.isDoubtful ? this.state.link : undefined;
  }

  /**
   * Waits for a link, as long as there is hope for one.
   *
   * @throws CacheUnavailableError
   */
  async link({ deadline }: Call): Promise<NodeLink> {
    for (;;) {
      const { state } = this;
      let until = deadline;
      switch (state.is) {
        case 'idle':
          this.open();
          break;
        case 'ready':
          if (!state.link.isDoubtful) return state.link;
          this.#doubt(state.link);
          break;
        case 'connecting':
        case 'doubted':
          break;
        case 'down':
          until = Math.min(deadline, state.since + this.#options.timeout * BLIP);
          break;
        case 'closed':
          throw notSent('closed', state.reason);
      }
      if (await this.waitingRoom.wait(until - now())) continue;
      throw notSent('disconnected', this.condition.reason);
    }
  }

  async close(until: number, reason?: Error): Promise<void> {
    const { state } = this;
    if (state.is === 'closed') return;
    const link = this.condition.links[0]?.link;
    // What waits for a link that is not there will not get it any more; what was sent may still be answered.
    if (link) await link.drain(until);
    this.#become({ is: 'closed', ...(reason && { reason }) });
    this.#abort.abort();
    link?.destroy(reason ?? notSent('closed', undefined));
    await this.#supervised;
  }

  /** One link after the other until `close()`. */
  async #supervise(): Promise<void> {
    const backoff = new Backoff();
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const link = await this.#options.connect(signal);
        if (signal.aborted) return link.destroy(undefined);
        const since = now();
        this.#become({ is: 'ready', link });
        const reason = await link.ended;
        backoff.lasted(now() - since);
        this.#fail(reason);
      } catch (error) {
        this.#fail(error);
      }
      await delay(backoff.next(), signal);
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
    if (state.is !== 'connecting') this.waitingRoom.admitAll();
    this.#options.onChange();
  }
}

function notReadyYet({ reason }: { readonly reason?: Error }): Error {
  return reason ?? new Error('not ready in time');
}

function notSent(reason: 'disconnected' | 'closed', cause: Error | undefined): CacheUnavailableError {
  const message =
    reason === 'closed' ? 'the connection to Redis was closed by this application' : 'there is no connection to Redis';
  return new CacheUnavailableError(reason, 'not-sent', message, { cause });
}
