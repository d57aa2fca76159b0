import type { Redis } from 'ioredis';
import type { Socket } from 'node:net';
import { connect, createClient } from '../ioredis/client-factory.js';
import { PendingCommand } from '../ioredis/command.js';
import type { RedisCommand, RedisReply, Settled } from '../ioredis/command.js';
import { Packet } from '../ioredis/packet.js';
import type { RedisLogin } from '../redis-connection.options.js';
import { bounded, clearInterval, delay, nextTick, now, setInterval, wallNow } from '../redis-cache.timers.js';
import { describe, describeAt, failedAt, leadsToWrongServer, orUnsaved, timedOut, toCacheError } from './failures.js';
import { InFlight } from './in-flight.js';
import { nameOf } from './address.js';
import type { Place } from './address.js';
import type { LinkSettings } from './settings.js';
import { reset } from './socket-reset.js';

/** So many commands leave as one packet, which Redis works on while the next is made; a command of more words is a packet by itself. */
const PACKET = 32;
/**
 * So many bytes may be on their way, those of commands and those expected of their replies: more than any line carries within a round
 * trip, and all that a slow one makes this process and Redis hold beside what callers hold. A command of more goes alone.
 */
const WINDOW = 32 * 2 ** 20;
/** So many commands may wait for the window to open. */
const LONGEST_QUEUE = 10_000;
/** A server that stays a replica, or is loading, must not be connected to over and over. In ms. */
const SHORTEST_LIFE = 1000;
/** What is shorter is no suspension of the process, whatever the timeout. In ms. */
const SHORTEST_SLEEP = 3000;

const TOO_MANY = 'Redis does not keep up, and too many calls wait already';
const TURNED_AWAY = 'the server ended the connection without an answer; does it want TLS on this port (rediss://)?';

/**
 * One connection to one server, from the moment it can be used (logged in, database selected, PING answered) to its end; never
 * reused. What it owes when it ends fails, with the truth about whether it was sent.
 *
 * A server that has left a call or a heartbeat unanswered, and has sent nothing else for a while, is taken for dead. Its socket is
 * reset, so that nothing is delivered after the caller was told of the failure.
 */
export class NodeLink {
  /** Resolves, with the reason, when the connection is gone; never rejects. */
  readonly ended: Promise<Error>;
  hasEnded = false;
  // Private names for what leads to passwords and arguments: `inspect` and JSON do not see them.
  readonly #client: Redis;
  readonly #settings: LinkSettings;
  readonly #inFlight = new InFlight(
    (command) => this.#expire(command),
    // Replies that came while the process was suspended tell of a time that is over.
    (before) =>
      before > Math.max(this.#settings.patience, SHORTEST_SLEEP) &&
      this.destroy(new Error(`suspended for ${before} ms`)),
  );
  readonly #abort = new AbortController();
  /** What is written when the turn of the event loop is over, or when the window opens. */
  readonly #queue: PendingCommand[] = [];
  /** The bytes of the replies that Redis owes us and of their commands, those that nobody waits for any more included. */
  #owedFor = 0;
  #heardAt = now();
  #heardAtByWall = wallNow();
  #bornAt = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #twin: NodeLink | undefined;
  #opening: Promise<NodeLink> | undefined;
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
    verify?: (link: NodeLink, deadline: number) => Promise<unknown>,
  ): Promise<NodeLink> {
    const { connectWithin, login } = settings;
    const current = await login.get(connectWithin, signal);
    const deadline = now() + connectWithin;
    const link = new NodeLink(place, settings);
    const work = link.#connect(current, deadline).then(() => verify?.(link, deadline));
    try {
      // A server without TLS takes the handshake for the beginning of a command, and waits for its end.
      const tlsHint = settings.socket.tls ? '; does it speak TLS on this port?' : '';
      // Not every `connect()` of ioredis settles when it is cut short.
      await bounded(work, connectWithin, `not ready within ${connectWithin} ms${tlsHint}`, signal);
      link.#live(current);
      return link;
    } catch (error) {
      const isTurnedAway = link.#wasTurnedAway;
      // The event tells why; the promise only that the connection was closed.
      const reason = link.#reason ?? error;
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

  /** The link for replies that would hold up others: a twin, opened when it is needed. This one, if none is had by the deadline. */
  async aside(deadline: number): Promise<NodeLink> {
    if (this.#twin && !this.#twin.hasEnded && !this.#twin.isDoubtful) return this.#twin;
    this.#opening ??= this.#replaceTwin().finally(() => (this.#opening = undefined));
    return bounded(this.#opening, deadline - now(), 'too late').catch(() => this);
  }

  /** Calls `listener` with each message of the channels that this link has subscribed to. */
  onMessage(listener: (message: unknown) => void): void {
    this.#client.on('messageBuffer', (_channel: Buffer, message: unknown) => listener(message));
  }

  /**
   * Writes a command and waits for its reply, until the deadline. Commands of one turn of the event loop leave together, one
   * directly after the other; none leaves after its deadline, nor while too many bytes are on their way.
   *
   * @throws CacheCommandError, CacheUnavailableError
   */
  send(words: RedisCommand, deadline: number, replySize?: () => number): Promise<RedisReply> {
    const command = new PendingCommand(words, this.#settled, deadline, replySize);
    if (this.hasEnded) command.giveUp(toCacheError(this.#reason, false, words));
    else if (this.#queue.length === LONGEST_QUEUE) command.giveUp(timedOut('not-sent', TOO_MANY));
    else {
      this.#inFlight.add(command);
      const waiting = this.#queue.push(command);
      if (waiting === PACKET || words.length > PACKET) this.#flush();
      else if (waiting === 1) nextTick(this.#flush);
    }
    return command.promise;
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
    while (!this.#inFlight.isEmpty && now() < until) await delay(5);
    await this.#twin?.drain(until);
  }

  /** Ends the connection at once. What it was to deliver is delivered no more, if it is still with us. */
  destroy(reason: unknown): void {
    this.#reason ??= reason;
    const stream = this.#client.stream as Socket | undefined;
    if (stream && this.#owedFor > 0) reset(stream);
    this.#client.disconnect();
    this.#end();
  }

  async #replaceTwin(): Promise<NodeLink> {
    this.#twin?.destroy(new Error('it was silent for long'));
    const twin = await this.twin(this.#abort.signal);
    if (this.hasEnded) twin.destroy(this.#reason);
    return (this.#twin = twin);
  }

  async #connect(login: RedisLogin, deadline: number): Promise<void> {
    const { db, clientName } = this.#settings;
    await connect(this.#client);
    // Not ioredis' own event, which comes by a tick that a test may have faked; and before ioredis, which knows no reason but the close.
    this.#client.stream.prependOnceListener('close', () => this.#end());
    // Also of a reply to no command, or one that it cannot read: the next ones might go to the wrong callers.
    this.#client.on('error', (error: unknown) => this.destroy(error));
    // Before ioredis, which would hand out what came while the process was suspended.
    this.#client.stream.prependListener('data', () => {
      [this.#heardAt, this.#heardAtByWall] = [now(), wallNow()];
      this.#inFlight.ran();
    });
    const steps = [];
    if (login.username || login.password) steps.push(this.#logIn(login, deadline));
    if (db > 0) steps.push(this.send(['select', String(db)], deadline));
    // PING is refused while the data set is being loaded, on a replica without a master, and without a login.
    steps.push(this.send(['ping'], deadline).catch(orUnsaved), this.#readClock(deadline));
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
    void source.renew(login, logIn, this.#abort.signal, warn);
  }

  /** TIME is a sign of life as good as PING, and also answered by a server that is loading. A sentinel knows no TIME. */
  async #readClock(deadline: number): Promise<void> {
    const sentAt = now();
    this.#settings.clock.set(await this.send(['time'], deadline).catch(() => undefined), sentAt);
  }

  readonly #flush = (): void => {
    const moment = now();
    const packet = new Packet({ redis: this.#client });
    while (this.#owedFor < WINDOW) {
      const command = this.#queue.shift();
      if (!command) break;
      if (!this.#inFlight.has(command)) continue; // its time was over while it waited
      if (moment >= command.deadline) {
        this.#inFlight.remove(command);
        command.giveUp(timedOut('not-sent'));
        continue;
      }
      command.sentAt = moment;
      this.#client.sendCommand(command, packet);
      if (!command.written) continue; // and settled
      command.size += command.replySize?.() ?? 0;
      this.#owedFor += command.size;
    }
    const { stream } = this.#client;
    if (packet.pieces.length > 1) stream.cork();
    for (const piece of packet.pieces) stream.write(piece);
    stream.uncork();
  };

  /** Redis has answered, or never will. */
  readonly #settled: Settled = (command, error) => {
    const isFull = this.#owedFor >= WINDOW;
    this.#owedFor -= command.size;
    if (isFull && this.#owedFor < WINDOW) nextTick(this.#flush);
    this.#inFlight.remove(command);
    if (error === undefined) return undefined;
    if (this.#reason === undefined && leadsToWrongServer(error) && now() - this.#bornAt > SHORTEST_LIFE) {
      // In good order: what else was sent may still be answered. What is not must not be told that Redis refused it.
      this.#reason = new Error(describe(error, command.words()).message);
      this.#client.disconnect();
    }
    return toCacheError(error, command.written, command.words());
  };

  /** A call got no reply in time. If all has been silent for long, there is no sense in waiting further. */
  #expire({ giveUp, written, sentAt }: PendingCommand): void {
    giveUp(timedOut(written ? 'unknown' : 'not-sent'));
    const silence = now() - Math.max(this.#heardAt, sentAt);
    if (silence <= this.#settings.patience / 3) return;
    const reason = new Error(`Redis sent nothing for ${Math.round(silence)} ms`);
    // Only when all calls whose time is over have been told so.
    nextTick(() => !this.hasEnded && this.destroy(reason));
  }

  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    clearInterval(this.#heartbeat);
    this.#abort.abort();
    this.#reason ??= new Error('Connection is closed.');
    this.#twin?.destroy(this.#reason);
    this.#queue.length = 0;
    for (const command of this.#inFlight.removeAll())
      if (command.deadline <= now()) this.#expire(command);
      else command.giveUp(toCacheError(this.#reason, command.written, command.words()));
    this.#resolveEnded(describeAt(nameOf(this.place), this.#reason));
  }

  /** A server with TLS ends a connection that begins without the handshake, and says nothing. */
  get #wasTurnedAway(): boolean {
    if (this.#settings.socket.tls) return false;
    const stream = this.#client.stream as Socket | undefined;
    return stream?.destroyed === true && stream.bytesWritten > 0 && stream.bytesRead === 0;
  }
}
