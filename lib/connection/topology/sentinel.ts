import { CacheCommandError, CacheConfigError } from '../../redis-cache.errors.js';
import { delay, now } from '../../redis-cache.timers.js';
import { describe, failedAt } from '../failures.js';
import { LoginSource } from '../login.js';
import { NodeLink } from '../node-link.js';
import { nameOf } from '../address.js';
import type { Endpoint } from '../address.js';
import { reachedFrom } from '../settings.js';
import type { ConnectionOptions, LinkSettings } from '../settings.js';

/** How often the sentinels are asked whether their master is still the one that we are connected to, in ms. */
const WATCH_INTERVAL = 1000;

/** One sentinel, and the link to it as long as it lasts. */
interface Sentinel {
  readonly place: Endpoint;
  link?: NodeLink | undefined;
}

/**
 * The sentinels are asked all at once: a silent one costs no time, and one that was cut off from the others is outvoted. While a
 * master is connected to they are asked once a second, so that one that was demoted behind a partition is left; as long as
 * most of them do not name another one, the connection stays.
 */
export class Sentinels {
  readonly #options: ConnectionOptions;
  /** Of links to the master. */
  readonly #settings: LinkSettings;
  /** Of links to sentinels. */
  readonly #own: LinkSettings;
  readonly #sentinels: readonly Sentinel[];
  /** To the master, if there is one. */
  #link: NodeLink | undefined;
  #isWatching = false;
  /** How long asking may take, connecting included: the master needs its time as well. In ms. */
  readonly #askWithin: number;

  constructor(options: ConnectionOptions, settings: LinkSettings) {
    const { address, redis } = options;
    this.#options = options;
    this.#settings = settings;
    this.#sentinels = address.endpoints.map((place) => ({ place }));
    this.#askWithin = settings.connectWithin / 2;
    this.#own = {
      ...settings,
      login: new LoginSource({ username: redis.sentinelUsername, password: redis.sentinelPassword }),
      socket: { ...settings.socket, tls: redis.sentinelTLS ?? (address.tls ? settings.socket.tls : undefined) },
      db: 0,
      heartbeat: 0,
      connectWithin: this.#askWithin,
      patience: this.#askWithin,
      clientName: undefined,
    };
  }

  /** @throws an Error that names the sentinels or the master; CacheConfigError if they refuse us */
  async connect(signal: AbortSignal): Promise<NodeLink> {
    signal.addEventListener('abort', this.#close);
    if (!this.#isWatching) void this.#watch(signal);
    let failure: unknown;
    for (const place of await this.#masters(signal)) {
      try {
        return (this.#link = await NodeLink.open(place, this.#settings, signal, assertMaster));
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    this.#isWatching = true;
    for (; !signal.aborted; await delay(WATCH_INTERVAL, signal)) {
      const link = this.#link;
      if (!link || link.hasEnded) continue;
      const [first] = await this.#masters(signal, this.#sentinels.length / 2).catch(() => []);
      const name = nameOf(link.place);
      if (first && nameOf(first) !== name && !link.hasEnded)
        link.destroy(new Error(`${name}: the sentinels name another master, ${nameOf(first)}`));
    }
  }

  /** Where the master is, as most sentinels say; then what the others say. Only what more than `few` of them say. */
  async #masters(signal: AbortSignal, few = 0): Promise<readonly Endpoint[]> {
    const votes = new Map<string, { readonly place: Endpoint; count: number }>();
    const answers = this.#sentinels.map(async (sentinel) => {
      const place = await this.#ask(sentinel, signal);
      const vote = votes.get(nameOf(place)) ?? { place, count: 0 };
      votes.set(nameOf(place), vote);
      if (++vote.count <= this.#sentinels.length / 2) throw new Error('not yet said by most');
    });
    await Promise.any(answers).catch(({ errors }: AggregateError) => {
      if (votes.size === 0) throw noneAnswered(errors);
    });
    const named = [...votes.values()].filter(({ count }) => count > few);
    const ranked = named.toSorted((one, other) => other.count - one.count);
    return ranked.map(({ place }) => reachedFrom(this.#options.redis, place));
  }

  async #ask(sentinel: Sentinel, signal: AbortSignal): Promise<Endpoint> {
    const { masterName = '' } = this.#options.address;
    const link = sentinel.link && !sentinel.link.hasEnded ? sentinel.link : await this.#open(sentinel, signal);
    const question = link.send(['sentinel', 'GET-MASTER-ADDR-BY-NAME', masterName], now() + this.#askWithin);
    const name = nameOf(sentinel.place);
    const reply = await question.catch((error: unknown) => {
      link.destroy(error); // the address may lead elsewhere the next time
      throw failedAt(name, error);
    });
    if (!Array.isArray(reply)) throw new Error(`${name}: the sentinel knows no master "${masterName}"`);
    return { host: String(reply[0]), port: Number(reply[1]) };
  }

  async #open(sentinel: Sentinel, signal: AbortSignal): Promise<NodeLink> {
    const link = await NodeLink.open(sentinel.place, this.#own, signal).catch((error: unknown) => {
      throw this.#refused(error);
    });
    sentinel.link?.destroy(undefined); // somebody else may have been quicker
    sentinel.link = link;
    return link;
  }

  /** By the options that are for sentinels. */
  #refused(error: unknown): unknown {
    if (!(error instanceof CacheConfigError)) return error;
    const { option, problem, cause } = error;
    const login = `${problem} (of a sentinel: redis: { sentinelUsername, sentinelPassword }, not those of the url)`;
    if (option === 'url') return new CacheConfigError('redis.sentinelPassword', login, { cause });
    if (!this.#options.redis.sentinelTLS) return error;
    return new CacheConfigError('redis.sentinelTLS', problem.replaceAll('tls: {', 'sentinelTLS: {'), { cause });
  }

  readonly #close = (): void => {
    for (const sentinel of this.#sentinels) sentinel.link?.destroy(undefined);
  };
}

async function assertMaster(link: NodeLink, deadline: number): Promise<void> {
  // Not everybody may ask.
  const reply = await link.send(['role'], deadline).catch((error: unknown) => {
    if (error instanceof CacheCommandError && error.reply === 'NOPERM') return ['master'];
    throw error;
  });
  const role = Array.isArray(reply) ? String(reply[0]) : '';
  if (role !== 'master') throw new Error(`the sentinels name a server that is no master (${role})`);
}

function noneAnswered(failures: readonly unknown[]): unknown {
  const reasons = failures.map((failure) => describe(failure).message).join('; ');
  const refusal = failures.find((failure) => failure instanceof CacheConfigError);
  return refusal ?? new Error(`no sentinel named a master (${reasons})`);
}
