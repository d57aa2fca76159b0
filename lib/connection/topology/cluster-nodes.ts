import { isIP } from 'node:net';
import { CacheConfigError } from '../../redis-cache.errors.js';
import { bounded, now } from '../../redis-cache.timers.js';
import { failedAt } from '../failures.js';
import { NodeLink } from '../node-link.js';
import { nameOf } from '../address.js';
import type { Endpoint } from '../address.js';
import { reachedFrom } from '../settings.js';
import type { ConnectionOptions, LinkSettings } from '../settings.js';
import { SupervisedNode } from '../supervised-node.js';
import { readSlots } from './slot-map.js';
import type { SlotRange } from './slot-map.js';

/** A node without slots that a slot is moving to is kept for so long, in ms. */
const GUEST_STAYS = 60_000;

/** So many of the nodes that there are links to are asked, at most, whether a further one is one of theirs. */
const WITNESSES = 3;

export interface ClusterNode {
  /** Where it is reached from here. */
  readonly place: Endpoint;
  readonly supervised: SupervisedNode;
  /** When a slot was last said to be moving to it. */
  invitedAt: number;
}

/** The nodes of a Cluster that commands are sent to, each with a supervised link. */
export class ClusterNodes {
  readonly #options: ConnectionOptions;
  readonly #settings: LinkSettings;
  readonly #nodes = new Map<string, ClusterNode>();

  /** @param patience - for how long a node that has just been heard of counts as connecting rather than as down, in ms */
  constructor(
    options: ConnectionOptions,
    settings: LinkSettings,
    private readonly patience: () => number,
    private readonly onChange: (node: SupervisedNode) => void,
  ) {
    this.#options = options;
    this.#settings = settings;
  }

  /** The node that announces itself as being at a place; connected to from now on. */
  at(announced: Endpoint): ClusterNode {
    const place = reachedFrom(this.#options.redis, announced);
    const known = this.#nodes.get(nameOf(place));
    if (known) return known;
    const settings = this.#settingsFor(place);
    const supervised: SupervisedNode = new SupervisedNode({
      timeout: this.#options.timeout,
      patience: this.patience(),
      connect: (signal) =>
        NodeLink.open(place, settings, signal, (link, deadline) => this.#verify(link, place, deadline)),
      onChange: () => this.onChange(supervised),
    });
    const node = { place, supervised, invitedAt: -Infinity };
    this.#nodes.set(nameOf(place), node);
    supervised.open();
    return node;
  }

  /** The node that a slot is moving to; it need not have any slot yet. */
  invite(announced: Endpoint): ClusterNode {
    const node = this.at(announced);
    node.invitedAt = now();
    return node;
  }

  /** Leaves those that are masters no more, once they have answered what they owe. */
  keep(masters: ReadonlySet<ClusterNode>): void {
    for (const [name, node] of this.#nodes) {
      if (masters.has(node) || now() - node.invitedAt < GUEST_STAYS) continue;
      this.#nodes.delete(name);
      void node.supervised.close(now() + this.#options.timeout, new Error(`${name} is no master any more`));
    }
  }

  async close(until: number): Promise<void> {
    await Promise.all([...this.#nodes.values()].map(({ supervised }) => supervised.close(until)));
  }

  /**
   * Who has which slot, as one of the nodes says that there is a link to; else, over links for this only, as one says that was
   * known to be one or is named by the url.
   *
   * @param turn - which of the nodes is asked first
   * @throws CacheConfigError if we are refused; else an Error that names an address
   */
  async askForSlots(turn: number, signal: AbortSignal): Promise<SlotRange[]> {
    const within = this.#settings.connectWithin / 2;
    const nodes = [...this.#nodes.values()];
    const first = turn % (nodes.length || 1);
    for (const { place, supervised } of [...nodes.slice(first), ...nodes.slice(0, first)]) {
      const route = supervised.route();
      const answer = route instanceof NodeLink && (await ask(route, place, now() + within).catch(() => undefined));
      if (answer) return answer.ranges;
    }
    const places = new Map(this.#options.address.endpoints.map((place) => [nameOf(place), place]));
    for (const { place } of nodes) places.set(nameOf(place), place);
    const attempts = [...places.values()].map(async (place) => {
      const settings = { ...this.#settingsFor(place), heartbeat: 0, connectWithin: within };
      const link = await NodeLink.open(place, settings, signal);
      const answer = bounded(ask(link, place, now() + within), 2 * within, 'no slots were told', signal);
      const { ranges } = await answer.finally(() => link.destroy(undefined));
      return ranges;
    });
    return Promise.any(attempts).catch(({ errors }: AggregateError) => {
      throw errors.find((error) => error instanceof CacheConfigError) ?? errors[0];
    });
  }

  /**
   * Sees that a server is a node of the same Cluster as those that there are links to: whatever else has come to have its address knows
   * none of the keys. Two nodes of one Cluster know of each other, whichever of them was replaced or reset since.
   */
  async #verify(link: NodeLink, place: Endpoint, deadline: number): Promise<void> {
    const { ids } = await ask(link, place, deadline);
    const within = now() + (deadline - now()) / 2; // who does not answer must not keep us from connecting
    const others = [...this.#nodes.values()].flatMap(({ supervised }) => supervised.condition.links);
    const answers = others.slice(0, WITNESSES).map((other) => ask(other, place, within));
    const { ids: known } = await Promise.any(answers).catch((): Pick<Answer, 'ids'> => ({ ids: [] }));
    // What only plays a Cluster may tell no ids.
    if (ids.length > 0 && known.length > 0 && !known.some((id) => ids.includes(id)))
      throw new Error(`${nameOf(place)}: the server is a node of another Redis Cluster`);
  }

  /** Nodes that announce an address have certificates for the name in the url. */
  #settingsFor(place: Endpoint): LinkSettings {
    const settings = this.#settings;
    const { tls } = settings.socket;
    const name = this.#options.address.endpoints.find(({ host }) => !isIP(host))?.host;
    if (!tls || !isIP(place.host) || name === undefined) return settings;
    return { ...settings, socket: { ...settings.socket, tls: { servername: name, ...tls } } };
  }
}

/** What a node says of its Cluster. */
interface Answer {
  readonly ranges: SlotRange[];
  /** Of the nodes that it knows of, replicas included. */
  readonly ids: readonly string[];
}

async function ask(link: NodeLink, place: Endpoint, deadline: number): Promise<Answer> {
  const reply = await link.send(['cluster', 'SLOTS'], deadline).catch((error: unknown) => {
    throw failedAt(nameOf(place), error);
  });
  const ranges = readSlots(reply, place);
  if (ranges.length === 0) throw new Error(`${nameOf(place)}: the node of the Redis Cluster knows of no slots`);
  return { ranges, ids: String(reply).match(/\b[0-9a-f]{40}\b/g) ?? [] };
}
