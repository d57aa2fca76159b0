import { CacheCommandError, CacheConfigError, CacheUnavailableError } from '../../redis-cache.errors.js';
import { bounded, delay, now } from '../../redis-cache.timers.js';
import { pauseBefore, pauseBeforeAttempt } from '../backoff.js';
import { BLIP } from '../call.js';
import type { RedisCommand } from '../call.js';
import { describe, redirectionOf } from '../failures.js';
import type { Redirection } from '../failures.js';
import { NodeLink } from '../node-link.js';
import type { ConnectionOptions, LinkSettings } from '../settings.js';
import type { SupervisedNode } from '../supervised-node.js';
import { ClusterNodes } from './cluster-nodes.js';
import type { ClusterNode } from './cluster-nodes.js';
import { slotOf, SLOTS } from './slot-map.js';
import type { SlotRange } from './slot-map.js';
import type { Route, Topology, TopologyCondition } from './topology.js';

/** How often a Cluster of which a master is missing is asked who has its slots by now, in ms. */
const SEARCH_INTERVAL = 300;
const NOT_WHOLE = 'a part of the slots of the Redis Cluster has no master';

type State =
  | { readonly is: 'idle' }
  /** Not known yet who has which slot, and not expected to be before `until`. */
  | { readonly is: 'connecting'; readonly until: number; readonly reason?: Error }
  /** Known; how things are is up to the masters. */
  | { readonly is: 'mapped' }
  | { readonly is: 'closed' };

/**
 * The masters of a Cluster, each with a supervised link of its own, and who of them has which slot.
 *
 * Who has which slot is asked of nodes that we are connected to: with each heartbeat, when a reply says that something has moved,
 * and, while a master cannot be reached, several times a second. Replies that redirect (MOVED, ASK) prove that nothing was
 * carried out, so that any command may follow them, as long as its deadline allows.
 */
export class ClusterTopology implements Topology {
  version = 0;
  readonly #options: ConnectionOptions;
  readonly #onChange: () => void;
  readonly #nodes: ClusterNodes;
  /** By slot. */
  #owners: (ClusterNode | undefined)[] = [];
  /** The owners, each once. */
  #masters: ReadonlySet<ClusterNode> = new Set();
  /** Whether every slot has an owner. */
  #isWhole = false;
  private state: State = { is: 'idle' };
  private wasReady = false;
  readonly #abort = new AbortController();
  #refreshing: Promise<void> | undefined;
  #watching: Promise<void> | undefined;
  #refreshSoon: () => void = () => undefined;
  #turn = 0;

  constructor(options: ConnectionOptions, settings: LinkSettings, onChange: () => void) {
    this.#options = options;
    this.#onChange = onChange;
    const patience = () => (this.wasReady ? options.timeout * BLIP : settings.connectWithin);
    this.#nodes = new ClusterNodes(options, settings, patience, ({ condition }) => {
      if (condition.status === 'down') this.#refreshSoon();
      this.#changed();
    });
  }

  get condition(): TopologyCondition {
    const { state } = this;
    switch (state.is) {
      case 'idle':
        return { status: 'connecting', links: [] };
      case 'connecting':
        return { status: now() < state.until ? 'connecting' : 'down', reason: state.reason, links: [] };
      case 'mapped':
        return this.#conditionOfMasters();
      case 'closed':
        return { status: 'down', links: [] };
    }
  }

  open(): void {
    if (this.state.is !== 'idle') return;
    const { startupTimeout } = this.#options;
    this.state = { is: 'connecting', until: now() + startupTimeout };
    void delay(startupTimeout, this.#abort.signal).then(() => this.#changed());
    this.#watching = this.#watch();
  }

  route(words?: RedisCommand, redirection?: Redirection): Route {
    const { state } = this;
    switch (state.is) {
      case 'idle':
        this.open();
        return { until: Infinity };
      case 'connecting':
        return { until: state.until, reason: state.reason };
      case 'mapped': {
        if (redirection?.kind === 'ASK') return this.#nodes.invite(redirection).supervised.route();
        const slot = words && slotOf(words);
        const node = slot === undefined ? this.#anyMaster() : this.#owners[slot];
        return node?.supervised.route() ?? { until: -Infinity, reason: new Error(NOT_WHOLE) };
      }
      case 'closed':
        return { until: -Infinity };
    }
  }

  redirection(error: unknown, link: NodeLink): Redirection | undefined {
    if (this.#abort.signal.aborted) return undefined; // nobody would close a link to where it leads
    const found = error instanceof CacheUnavailableError ? redirectionOf(error, link.place) : undefined;
    if (found?.kind === 'MOVED') this.#moved(found);
    const isOfKey = found?.kind === 'ASK' || (error instanceof CacheCommandError && error.reply !== 'READONLY');
    if (!isOfKey) this.#refreshSoon();
    return found;
  }

  async masters(within: number): Promise<readonly SupervisedNode[] | undefined> {
    await bounded(this.#refresh(), within, 'no node answers', this.#abort.signal).catch(() => undefined);
    return this.#isWhole ? [...this.#masters].map(({ supervised }) => supervised) : undefined;
  }

  async close(until: number): Promise<void> {
    this.#abort.abort();
    await this.#nodes.close(until);
    this.state = { is: 'closed' };
    this.#changed();
    await this.#watching;
  }

  #conditionOfMasters(): TopologyCondition {
    const conditions = [...this.#masters].map(({ supervised }) => supervised.condition);
    const ready = conditions.filter(({ status }) => status === 'ready').length;
    const down = conditions.find(({ status }) => status === 'down');
    const isConnecting = conditions.some(({ status }) => status === 'connecting');
    const reason = down?.reason ?? (this.#isWhole ? undefined : new Error(NOT_WHOLE));
    const links = conditions.flatMap((condition) => condition.links);
    if (isConnecting && (ready === 0 || !this.wasReady)) return { status: 'connecting', reason, links };
    if (ready === 0) return { status: 'down', reason, links };
    return { status: down || !this.#isWhole ? 'degraded' : 'ready', reason, links };
  }

  #anyMaster(): ClusterNode | undefined {
    const ready = [...this.#masters].filter(({ supervised }) => supervised.condition.status === 'ready');
    return ready[this.#turn++ % ready.length] ?? [...this.#masters][0];
  }

  #moved({ slot, host, port }: Redirection): void {
    const node = this.#nodes.at({ host, port });
    this.#owners[slot] = node;
    this.#masters = new Set([...this.#masters, node]);
    this.version++;
    this.#changed();
  }

  /** Keeps it known who has which slot, until `close()`. */
  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    for (let attempts = 1; !signal.aborted; attempts++) {
      await this.#refresh();
      const timer = new AbortController();
      this.#refreshSoon = () => timer.abort();
      await delay(this.#pause(attempts), AbortSignal.any([signal, timer.signal]));
      // A reshard tells of each slot.
      if (timer.signal.aborted) await delay(pauseBefore(0), signal);
    }
  }

  #pause(attempts: number): number {
    if (this.state.is === 'connecting') return pauseBeforeAttempt(attempts);
    return this.condition.status === 'ready' ? this.#options.heartbeat : SEARCH_INTERVAL;
  }

  /** Never rejects. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#nodes
      .askForSlots(this.#turn++, this.#abort.signal)
      .then((ranges) => this.#apply(ranges))
      .catch((error: unknown) => this.#refused(error))
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  #apply(ranges: readonly SlotRange[]): void {
    if (this.#abort.signal.aborted) return;
    const owners = Array.from<ClusterNode | undefined>({ length: SLOTS });
    for (const { from, to, owner } of ranges) owners.fill(this.#nodes.at(owner), from, to + 1);
    if (owners.some((node, slot) => node !== this.#owners[slot])) this.version++;
    this.#owners = owners;
    this.#isWhole = owners.every((node) => node !== undefined);
    this.#masters = new Set(owners.filter((node) => node !== undefined));
    this.#nodes.keep(this.#masters);
    this.state = { is: 'mapped' };
    this.#changed();
  }

  #refused(error: unknown): void {
    const { state } = this;
    if (state.is !== 'connecting') return;
    const isFinal = error instanceof CacheConfigError;
    const reason = isFinal ? error : describe(error);
    this.state = { ...state, reason, ...(isFinal && { until: -Infinity }) };
    this.#changed();
  }

  #changed(): void {
    this.wasReady ||= this.condition.status === 'ready';
    this.#onChange();
  }
}
