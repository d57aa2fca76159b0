import { CacheCommandError, CacheConfigError, CacheUnavailableError } from '../../redis-cache.errors.js';
import { countRetry } from '../../redis-cache.diagnostics.js';
import { delay, now } from '../../redis-cache.timers.js';
import { Backoff } from '../backoff.js';
import { bounded } from '../bounded.js';
import { describe, redirectionOf } from '../failures.js';
import type { Redirection } from '../failures.js';
import type { NodeLink } from '../node-link.js';
import type { Call, RedisCommand, RedisReply } from '../redis-command.js';
import { BLIP, mayRepeat, pauseBefore } from '../repetition.js';
import { WaitingRoom } from '../waiting-room.js';
import { ClusterNodes } from './cluster-nodes.js';
import type { ClusterNode } from './cluster-nodes.js';
import { slotOf, SLOTS } from './slot-map.js';
import type { SlotRange } from './slot-map.js';
import type { Topology, TopologyCondition } from './topology.js';
import type { TopologyOptions } from './topology-options.js';

/** How often a Cluster of which a master is missing is asked who has its slots by now, in ms. */
const SEARCH_INTERVAL = 300;
/** So many redirections are followed at once; then there is a pause before each. */
const QUICK_REDIRECTIONS = 5;

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
  readonly #options: TopologyOptions;
  readonly #nodes: ClusterNodes;
  /** By slot. */
  #owners: (ClusterNode | undefined)[] = [];
  /** The owners, each once. */
  #masters: ReadonlySet<ClusterNode> = new Set();
  /** Whether every slot has an owner. */
  #isWhole = false;
  private state: State = { is: 'idle' };
  private wasReady = false;
  private readonly waitingRoom = new WaitingRoom();
  readonly #abort = new AbortController();
  #refreshing: Promise<void> | undefined;
  #watching: Promise<void> | undefined;
  #refreshSoon: () => void = () => undefined;
  #turn = 0;

  constructor(options: TopologyOptions) {
    this.#options = options;
    const patience = () => (this.wasReady ? options.timeout * BLIP : options.settings.connectWithin);
    this.#nodes = new ClusterNodes(options, patience, ({ condition }) => {
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

  async send(words: RedisCommand, call: Call): Promise<RedisReply> {
    const slot = slotOf(words);
    let asked: Redirection | undefined;
    for (let failures = 0, repeated = false; ; failures++) {
      let node: ClusterNode | undefined;
      try {
        node = asked ? this.#nodes.invite(asked) : await this.#owner(slot, call);
        const link = node.supervised.usable ?? (await node.supervised.link(call));
        // In the same turn, so that it stands directly before the command.
        if (asked) link.send(['asking'], call.deadline).catch(() => undefined);
        else call.prelude?.(link);
        return await link.send(words, call.deadline);
      } catch (error) {
        asked = node && this.#redirected(error, node);
        if (asked?.kind === 'MOVED') {
          this.#moved(asked);
          asked = undefined;
        } else if (!asked) {
          this.#refreshSoon();
          const isUnavailable = error instanceof CacheUnavailableError;
          if (!this.#isElsewhere(error, node, call) && !mayRepeat(error, call, this.#options.timeout, repeated))
            throw error;
          repeated ||= isUnavailable && error.outcome === 'unknown';
          await delay(pauseBefore(failures));
          countRetry();
          continue;
        }
        if (now() >= call.deadline) throw error;
        if (failures >= QUICK_REDIRECTIONS) await delay(pauseBefore(failures - QUICK_REDIRECTIONS));
      }
    }
  }

  async masters(call: Call): Promise<readonly NodeLink[]> {
    await this.#owner(undefined, call);
    const patience = call.deadline - now();
    await bounded(this.#refresh(), patience, this.#abort.signal, 'no node answers').catch(() => undefined);
    if (!this.#isWhole) throw unavailable(NOT_WHOLE);
    return Promise.all([...this.#masters].map(({ supervised }) => supervised.link(call)));
  }

  async close(until: number): Promise<void> {
    this.#abort.abort();
    await this.#nodes.close(until);
    this.state = { is: 'closed' };
    this.waitingRoom.admitAll();
    await this.#watching;
  }

  #conditionOfMasters(): TopologyCondition {
    const conditions = [...this.#masters].map(({ supervised }) => supervised.condition);
    const ready = conditions.filter(({ status }) => status === 'ready').length;
    const down = conditions.find(({ status }) => status === 'down');
    const isConnecting = conditions.some(({ status }) => status === 'connecting');
    const reason = down?.reason ?? (this.#isWhole ? undefined : new Error(NOT_WHOLE));
    const links = [...this.#masters].flatMap(({ supervised, share }) =>
      supervised.condition.links.map(({ link }) => ({ link, share })),
    );
    if (isConnecting && (ready === 0 || !this.wasReady)) return { status: 'connecting', reason, links };
    if (ready === 0) return { status: 'down', reason, links };
    return { status: down || !this.#isWhole ? 'degraded' : 'ready', reason, links };
  }

  /** The node that has a slot; without a slot, any that is ready, in turn. Waits until it is known who there is. */
  async #owner(slot: number | undefined, call: Call): Promise<ClusterNode> {
    for (;;) {
      const { state } = this;
      let until = call.deadline;
      switch (state.is) {
        case 'idle':
          this.open();
          break;
        case 'connecting':
          if (now() >= state.until) until = -Infinity;
          break;
        case 'mapped': {
          const node = slot === undefined ? this.#anyMaster() : this.#owners[slot];
          if (node) return node;
          throw unavailable(NOT_WHOLE);
        }
        case 'closed':
          throw new CacheUnavailableError(
            'closed',
            'not-sent',
            'the connection to Redis was closed by this application',
          );
      }
      if (await this.waitingRoom.wait(until - now())) continue;
      throw unavailable('there is no connection to the Redis Cluster', this.condition.reason);
    }
  }

  #anyMaster(): ClusterNode | undefined {
    const ready = [...this.#masters].filter(({ supervised }) => supervised.usable);
    return ready[this.#turn++ % ready.length] ?? [...this.#masters][0];
  }

  /** Where a failed command belongs instead, if that is what its node said. */
  #redirected(error: unknown, node: ClusterNode): Redirection | undefined {
    const redirection = error instanceof CacheUnavailableError ? redirectionOf(error) : undefined;
    return redirection && { ...redirection, host: redirection.host || node.place.host };
  }

  #moved({ slot, host, port }: Redirection): void {
    const node = this.#nodes.at({ host, port });
    this.#hand(slot, node);
    this.#masters = new Set([...this.#masters, node]);
    this.version++;
    this.#changed();
    this.#refreshSoon();
  }

  #hand(slot: number, node: ClusterNode | undefined): void {
    const before = this.#owners[slot];
    if (before === node) return;
    for (const party of [before, node]) if (party) party.share++;
    this.#owners[slot] = node;
  }

  /** Whether a command that was not carried out has another node by now, or will soon: its own was demoted. */
  #isElsewhere(error: unknown, node: ClusterNode | undefined, { deadline }: Call): boolean {
    const { timeout } = this.#options;
    if (error instanceof CacheCommandError) {
      return error.reply === 'READONLY' && now() < deadline - timeout + timeout * BLIP;
    }
    if (!(error instanceof CacheUnavailableError) || error.outcome !== 'not-sent' || now() >= deadline) return false;
    return node !== undefined && !this.#abort.signal.aborted && !this.#nodes.has(node);
  }

  /** Keeps it known who has which slot, until `close()`. */
  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    const backoff = new Backoff();
    while (!signal.aborted) {
      await this.#refresh();
      const timer = new AbortController();
      this.#refreshSoon = () => timer.abort();
      await delay(this.#pause(backoff), AbortSignal.any([signal, timer.signal]));
      // A reshard tells of each slot.
      if (timer.signal.aborted) await delay(pauseBefore(0), signal);
    }
  }

  #pause(backoff: Backoff): number {
    if (this.state.is === 'connecting') return backoff.next();
    return this.condition.status === 'ready' ? this.#options.settings.heartbeat : SEARCH_INTERVAL;
  }

  /** Never rejects. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#nodes
      .askForSlots(this.#turn++, this.#abort.signal)
      .then(
        (ranges) => this.#apply(ranges),
        (error: unknown) => this.#refused(error),
      )
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  #apply(ranges: readonly SlotRange[]): void {
    if (this.#abort.signal.aborted) return;
    const owners = Array.from<ClusterNode | undefined>({ length: SLOTS });
    for (const { from, to, owner } of ranges) owners.fill(this.#nodes.at(owner), from, to + 1);
    if (owners.some((node, slot) => node !== this.#owners[slot])) this.version++;
    owners.forEach((node, slot) => this.#hand(slot, node));
    this.#isWhole = owners.every((node) => node !== undefined);
    this.#masters = new Set(owners.filter((node) => node !== undefined));
    this.#nodes.keep(this.#masters);
    this.state = { is: 'mapped' };
    this.waitingRoom.admitAll();
    this.#changed();
  }

  #refused(error: unknown): void {
    const { state } = this;
    if (state.is !== 'connecting') return;
    const isFinal = error instanceof CacheConfigError;
    const reason = isFinal ? error : describe(error);
    this.state = { ...state, reason, ...(isFinal && { until: -Infinity }) };
    if (isFinal) this.waitingRoom.admitAll();
    this.#changed();
  }

  #changed(): void {
    this.wasReady ||= this.condition.status === 'ready';
    this.#options.onChange();
  }
}

function unavailable(message: string, cause?: Error): CacheUnavailableError {
  return new CacheUnavailableError('disconnected', 'not-sent', message, { cause });
}
