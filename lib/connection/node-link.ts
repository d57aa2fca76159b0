import type { Redis } from 'ioredis';
import type { Socket } from 'node:net';
import { createClient } from '../ioredis/client-factory.js';
import { PendingCommand } from '../ioredis/command.js';
import type { RedisCommand, RedisReply } from '../ioredis/command.js';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import type { RedisLogin } from '../redis-connection.options.js';
import { clearInterval, delay, nextTick, now, setImmediate, setInterval, wallNow } from '../redis-cache.timers.js';
import { bounded } from './bounded.js';
import { describe, describeAt, failedAt, leadsToWrongServer } from './failures.js';
import { Exchange, InFlight } from './in-flight.js';
import { assertTicksRun } from './fake-ticks.js';
import { nameOf } from './link-settings.js';
import type { LinkSettings, Place } from './link-settings.js';
import { renewLogin } from './login-renewal.js';
import { reset } from './socket-reset.js';

/** So many commands leave as one packet, which Redis works on while the next is made. */
const PACKET = 32;
/** A server that stays a replica, or is loading, must not be connected to over and over. In ms. */
const SHORTEST_LIFE = 1000;

const TURNED_AWAY = 'the server ended the connection without an answer; does it want TLS on this port (rediss://)?';

/**
 * One connection to one server, from the moment it can be used (logged in, database selected, PING answered) to its end; never
 * reused. What it owes when it ends fails, with the truth about whether it was sent.
 *
 * A server that owes a reply and has sent nothing for `patience` is taken for dead, and so is one that leaves a heartbeat
 * unanswered for as long. Its socket is reset, so that nothing is delivered after the caller was told of the failure.
 */
export class NodeLink {
  /** Resolves, with the reason, when the connection is gone; never rejects. */
  readonly ended: Promise<Error>;
  hasEnded = false;
  // Private names for what leads to passwords and arguments: `inspect` and JSON do not see them.
  readonly #client: Redis;
  readonly #settings: LinkSettings;
  readonly #inFlight = new InFlight((exchange) => this.#expire(exchange));
  readonly #abort = new AbortController();
  /** What is written when the turn of the event loop is over. */
  #packet: Exchange[] = [];
  /** Replies that Redis owes us, those that nobody waits for any more included. */
  #owed = 0;
  #owesSince = 0;
  #heardAt = now();
  #heardAtByWall = wallNow();
  #bornAt = 0;
  #watch: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #reason: unknown;
  #resolveEnded: (reason: Error) => void = () => undefined;

  private constructor(
    readonly place: Place,
    settings: LinkSettings,
  ) {
    this.#settings = settings;
    this.#client = createClient({ ...settings.socket, ...place, connectTimeout: settings.connectWithin });
    this.#client.on('error', (error: unknown) => (this.#reason ??= error));
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  /**
   * Connects, logs in, selects the database and sees Redis answer a PING; then `verify`, if the server has to be a certain one.
   *
   * @throws CacheConfigError if Redis refuses us; else an Error that names the address
   */
  static async open(
    place: Place,
    settings: LinkSettings,
    signal: AbortSignal,
    verify?: (link: NodeLink, deadline: number) => Promise<void>,
  ): Promise<NodeLink> {
    const { connectWithin, login } = settings;
    await assertTicksRun();
    const current = await login.get(connectWithin, signal);
    const deadline = now() + connectWithin;
    const link = new NodeLink(place, settings);
    const work = link.#connect(current, deadline).then(() => verify?.(link, deadline));
    try {
      // Not every `connect()` of ioredis settles when it is cut short.
      await bounded(work, connectWithin, signal, `not ready within ${connectWithin} ms${link.#tlsHint}`);
      link.#live(current);
      return link;
    } catch (error) {
      const isTurnedAway = link.#wasTurnedAway;
      // The event tells why; the promise only that the connection was closed.
      const reason: unknown = link.#reason ?? (error instanceof Error ? (error.cause ?? error) : error);
      link.destroy(reason);
      throw failedAt(nameOf(place), isTurnedAway ? new Error(TURNED_AWAY) : reason);
    }
  }

  /** A further connection to the very same server (not to whatever its name leads to by now), without a heartbeat. */
  twin(signal: AbortSignal): Promise<NodeLink> {
    const { remoteAddress: host, remotePort: port } = this.#client.stream;
    const { tls, ...socket } = this.#settings.socket;
    // Certificates are for the name.
    const servername = 'host' in this.place ? { servername: this.place.host, ...tls } : tls;
    const settings = { ...this.#settings, socket: { ...socket, tls: tls && servername }, heartbeat: 0 };
    const isSocketFile = 'path' in this.place || host === undefined || port === undefined;
    return NodeLink.open(isSocketFile ? this.place : { host, port }, settings, signal);
  }

  /** Calls `listener` with each message of the channels that this link has subscribed to. */
  onMessage(listener: (message: unknown) => void): void {
    this.#client.on('messageBuffer', (_channel: Buffer, message: unknown) => listener(message));
  }

  /**
   * Writes a command and waits for its reply, until the deadline. Commands of one turn of the event loop leave together, one
   * directly after the other; none leaves after its deadline.
   *
   * @throws CacheCommandError, CacheUnavailableError
   */
  send(words: RedisCommand, deadline: number): Promise<RedisReply> {
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(words, deadline, resolve, reject);
      if (this.hasEnded) return exchange.fail(this.#reason);
      const size = this.#packet.push(exchange);
      if (size === PACKET) this.#flush();
      else if (size === 1) nextTick(this.#flush);
    });
  }

  /** Whether it has been silent for so long that it may have died unnoticed: the process was suspended, a router forgot us. */
  get isDoubtful(): boolean {
    const { doubtAfter } = this.#settings;
    return now() - this.#heardAt > doubtAfter || wallNow() - this.#heardAtByWall > doubtAfter;
  }

  /** Asks for a sign of life, and ends the link if none comes in time. */
  async probe(within: number): Promise<void> {
    const before = this.#heardAt;
    // Not PING: while a machine sleeps its monotonic clock may stand still.
    await this.#readClock(now() + within);
    if (this.#heardAt === before) this.destroy(new Error(`no sign of life within ${Math.round(within)} ms`));
  }

  /** Resolves when nothing is in flight any more, or at that moment. */
  async drain(until: number): Promise<void> {
    while (!(this.#inFlight.isEmpty && this.#packet.length === 0) && now() < until) await delay(5);
  }

  /** Ends the connection in good order: what was sent may still be answered. */
  retire(reason: unknown): void {
    this.#reason ??= reason;
    this.#client.disconnect();
  }

  /** Ends the connection at once. What it was to deliver is delivered no more, if it is still with us. */
  destroy(reason: unknown): void {
    this.#reason ??= reason;
    const stream = this.#client.stream as Socket | undefined;
    if (stream && this.#owed > 0) reset(stream);
    this.#client.disconnect();
    this.#end();
  }

  async #connect(login: RedisLogin, deadline: number): Promise<void> {
    const { db, clientName } = this.#settings;
    await this.#client.connect();
    // Not ioredis' own event, which comes by a tick that a test may have faked.
    this.#client.stream.once('close', () => this.#end());
    this.#client.stream.on('data', () => {
      this.#heardAt = now();
      this.#heardAtByWall = wallNow();
    });
    const steps = [];
    if (login.password) steps.push(this.#logIn(login, deadline));
    if (db > 0) steps.push(this.send(['select', String(db)], deadline));
    // PING is refused while the data set is being loaded, on a replica without a master, and without a login.
    steps.push(this.send(['ping'], deadline), this.#readClock(deadline));
    if (clientName) steps.push(this.send(['client', 'SETNAME', clientName], deadline).catch(() => undefined));
    await Promise.all(steps);
  }

  #logIn({ username, password = '' }: RedisLogin, deadline: number): Promise<RedisReply> {
    return this.send(username ? ['auth', username, password] : ['auth', password], deadline);
  }

  #live(login: RedisLogin): void {
    const { heartbeat, patience, login: source, warn } = this.#settings;
    this.#bornAt = now();
    if (this.hasEnded) return;
    if (heartbeat > 0) {
      this.#heartbeat = setInterval(() => void this.#readClock(now() + patience), heartbeat).unref();
    }
    const logIn = (next: RedisLogin) => this.#logIn(next, now() + patience);
    if (login.expiresAt !== undefined) void renewLogin(login, source, logIn, this.#abort.signal, warn);
  }

  /** TIME is a sign of life as good as PING, and also answered by a server that is loading. A sentinel knows no TIME. */
  async #readClock(deadline: number): Promise<void> {
    const sentAt = now();
    this.#settings.clock.set(await this.send(['time'], deadline).catch(() => undefined), sentAt);
  }

  readonly #flush = (): void => {
    const packet = this.#packet;
    if (packet.length === 0) return;
    this.#packet = [];
    const moment = now();
    const { stream } = this.#client;
    stream.cork();
    for (const exchange of packet) this.#write(exchange, moment);
    stream.uncork();
  };

  #write(exchange: Exchange, moment: number): void {
    if (moment >= exchange.deadline) return exchange.reject(timedOut('not-sent'));
    const command = new PendingCommand(exchange.words);
    exchange.command = command;
    this.#client.sendCommand(command);
    this.#inFlight.add(exchange);
    if (this.#owed++ === 0) this.#owe(moment);
    command.promise.then(
      (reply: RedisReply) => {
        this.#owed--;
        if (this.#inFlight.remove(exchange)) exchange.resolve(reply);
      },
      (error: unknown) => {
        this.#owed--;
        if (this.#inFlight.remove(exchange)) exchange.fail(error);
        if (leadsToWrongServer(error) && now() - this.#bornAt > SHORTEST_LIFE) {
          this.retire(describe(error, exchange.words));
        }
      },
    );
  }

  /** From here on Redis owes us a reply: silence is looked at. */
  #owe(moment: number): void {
    this.#owesSince = moment;
    const { patience } = this.#settings;
    this.#watch ??= setInterval(() => {
      // Calls that are in flight have had their time by then, and were told so.
      if (this.#owed > 0) return this.#endIfSilentFor(patience * 1.25);
      clearInterval(this.#watch);
      this.#watch = undefined;
    }, patience / 4).unref();
  }

  /** A call got no reply in time. If all has been silent for long, there is no sense in waiting further. */
  #expire(exchange: Exchange): void {
    exchange.reject(timedOut(exchange.command?.written ? 'unknown' : 'not-sent'));
    this.#endIfSilentFor(this.#settings.patience / 3);
  }

  #endIfSilentFor(ms: number): void {
    const silence = () => now() - Math.max(this.#heardAt, this.#owesSince);
    if (silence() < ms) return;
    // After a stall of our own event loop the reply may be waiting to be read: look again when it has been.
    setImmediate(() => {
      if (this.hasEnded || silence() < ms) return;
      this.destroy(new Error(`Redis sent nothing for ${Math.round(silence())} ms`));
    });
  }

  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    clearInterval(this.#watch);
    clearInterval(this.#heartbeat);
    this.#abort.abort();
    this.#reason ??= new Error('the connection was closed');
    for (const exchange of [...this.#inFlight.removeAll(), ...this.#packet.splice(0)]) exchange.fail(this.#reason);
    this.#resolveEnded(describeAt(nameOf(this.place), this.#reason));
  }

  /** A server without TLS takes the handshake for the beginning of a command, and waits for its end. */
  get #tlsHint(): string {
    return this.#settings.socket.tls ? '; does it speak TLS on this port?' : '';
  }

  /** A server with TLS ends a connection that begins without the handshake, and says nothing. */
  get #wasTurnedAway(): boolean {
    if (this.#settings.socket.tls) return false;
    const stream = this.#client.stream as Socket | undefined;
    return stream?.destroyed === true && stream.bytesWritten > 0 && stream.bytesRead === 0;
  }
}

function timedOut(outcome: 'not-sent' | 'unknown'): CacheUnavailableError {
  return new CacheUnavailableError('timeout', outcome, 'Redis did not answer within the timeout');
}
