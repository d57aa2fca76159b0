import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { reset } from '../../lib/connection/socket-reset.js';
import { freePort } from '../../scripts/processes.mjs';

type Direction = 'requests' | 'replies';
type Signal = Buffer | 'end' | 'reset';

/**
 * Which connections a fault is meant for, those to come included: by the order in which they were accepted, from 1, or by
 * whether they have subscribed to invalidations.
 */
type Choice = (nth: number, isFeed: boolean) => boolean;

const ALL: Choice = () => true;
const NONE: Choice = () => false;

/**
 * A TCP proxy in front of a server, for faults of the network between. Bytes that it holds back are "in the network":
 * they arrive after `resume()`, unless the side that sent them has reset its connection meanwhile.
 */
export class TcpProxy {
  static async start(target: { readonly port: number }): Promise<TcpProxy> {
    const proxy = new TcpProxy(target.port, await freePort());
    await proxy.listen();
    return proxy;
  }

  /** Connections accepted since the start. */
  accepted = 0;
  /** Requests since the start that came after a reply to the one before: with a `delay`, what callers wait for. */
  roundTrips = 0;
  /** Bytes passed on since the start. */
  readonly bytes: Record<Direction, number> = { requests: 0, replies: 0 };

  private readonly held: Record<Direction, Choice> = { requests: NONE, replies: NONE };
  /** The ports of connections to the server that were ended here: what they brought, the server may still have to read. */
  readonly ended = new Set<number>();
  private readonly links = new Set<Link>();
  private latency = 0;
  private delayed = NONE;
  private turningAway = false;
  private replyLost: (() => void) | undefined;
  private repliesBefore = 0;
  private server: Server | undefined;

  private constructor(
    private targetPort: number,
    readonly port: number,
  ) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.links.size;
  }

  /** Ends every connection and refuses new ones. */
  async cut(): Promise<void> {
    const server = this.server;
    this.server = undefined;
    const ended = server && once(server, 'close');
    server?.close();
    this.endConnections();
    await ended;
  }

  /** Ends connections; new ones are welcome. */
  endConnections(which = ALL): void {
    for (const link of this.links) if (which(link.nth, link.isFeed)) this.end(link);
  }

  /** Passes nothing on, either way, and lets everybody wait: a router that drops packets. */
  stall(which = ALL): void {
    this.held.requests = which;
    this.held.replies = which;
  }

  /** Requests get through and are executed, their replies do not come. */
  stallReplies(which = ALL): void {
    this.held.replies = which;
  }

  /**
   * Loses one reply, after so many `others`: the command is executed, its answer thrown away and the connection ended. All is well
   * after. Resolves when it has happened.
   */
  dropReplies(others = 0): Promise<void> {
    this.repliesBefore = others;
    return new Promise((resolve) => (this.replyLost = resolve));
  }

  /** Ends every connection, and every new one as soon as it is accepted: a balancer with nothing behind it. */
  acceptAndClose(): void {
    this.turningAway = true;
    this.endConnections();
  }

  /** Replies to what nobody has asked, on every connection. */
  answer(bytes: string): void {
    for (const link of this.links) link.answer(bytes);
  }

  /** What is sent from now on arrives this much later, each way. */
  delay(ms: number, which = ALL): void {
    this.latency = ms;
    this.delayed = which;
  }

  /** New connections go elsewhere, open ones stay: a DNS entry or a virtual address that moves to another server. */
  retarget(target: { readonly port: number }): void {
    this.targetPort = target.port;
  }

  /** Heals everything: passes on what was held back, and listens again. */
  async resume(): Promise<void> {
    this.stall(NONE);
    this.turningAway = false;
    this.latency = 0;
    for (const link of this.links) link.flush();
    this.replyLost = undefined;
    if (this.server === undefined) await this.listen();
  }

  /** Repeating it is harmless. */
  async stop(): Promise<void> {
    await this.cut();
  }

  private async listen(): Promise<void> {
    // Half-open, because an end is held back and delayed like any other byte.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.accept(socket));
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.server = server;
  }

  private accept(client: Socket): void {
    const nth = ++this.accepted;
    if (this.turningAway) {
      client.on('error', () => undefined).destroy();
      return;
    }
    const target = connect({ port: this.targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const link: Link = new Link(
      nth,
      client,
      target,
      (direction, signal) => this.mayPass(direction, signal, link),
      () => (this.delayed(nth, link.isFeed) ? this.latency : 0),
    );
    this.links.add(link);
    link.onceClosed(() => this.links.delete(link));
  }

  private end(link: Link): void {
    if (link.port !== undefined) this.ended.add(link.port);
    link.destroy();
  }

  private mayPass(direction: Direction, signal: Signal, link: Link): boolean {
    if (direction === 'requests' && Buffer.isBuffer(signal)) link.isFeed ||= signal.includes('__redis__:invalidate');
    if (this.held[direction](link.nth, link.isFeed)) return false;
    if (!Buffer.isBuffer(signal)) return true;
    if (direction === 'replies' && this.replyLost !== undefined && this.repliesBefore-- === 0) {
      this.replyLost();
      this.replyLost = undefined;
      this.end(link);
      return false;
    }
    this.bytes[direction] += signal.length;
    if (direction === 'requests' && link.isAnswered) this.roundTrips++;
    link.isAnswered = direction === 'replies';
    return true;
  }
}

type Gate = (direction: Direction, signal: Signal) => boolean;

/** One client's connection and ours to the server on its behalf. */
class Link {
  /** Whether the last bytes on it were those of a reply. */
  isAnswered = true;
  isFeed = false;
  private readonly wires: readonly Wire[];

  constructor(
    readonly nth: number,
    private readonly client: Socket,
    private readonly target: Socket,
    gate: Gate,
    latency: () => number,
  ) {
    this.wires = [
      new Wire(client, target, (signal) => gate('requests', signal), latency),
      new Wire(target, client, (signal) => gate('replies', signal), latency),
    ];
  }

  /** Of our side of the connection to the server. */
  get port(): number | undefined {
    return this.target.localPort;
  }

  flush(): void {
    for (const wire of this.wires) wire.flush();
  }

  answer(bytes: string): void {
    this.client.write(bytes);
  }

  destroy(): void {
    for (const wire of this.wires) wire.clear();
    this.client.destroy();
    this.target.destroy();
  }

  onceClosed(listener: () => void): void {
    void Promise.all([closed(this.client), closed(this.target)]).then(listener);
  }
}

/** One direction of a link: what arrives leaves in the same order, when it is due and the gate lets it pass. */
class Wire {
  private queue: { signal: Signal; due: number }[] = [];

  constructor(
    source: Socket,
    private readonly sink: Socket,
    private readonly gate: (signal: Signal) => boolean,
    private readonly latency: () => number,
  ) {
    source.on('data', (chunk: Buffer) => this.arrive(chunk));
    source.on('end', () => this.arrive('end'));
    source.on('error', () => {
      this.clear(); // a reset forgets what was sent and has not arrived
      this.arrive('reset');
    });
  }

  flush(): void {
    for (;;) {
      const next = this.queue[0];
      if (next === undefined) return;
      const wait = next.due - performance.now();
      if (wait > 0) {
        setTimeout(() => this.flush(), Math.ceil(wait)).unref();
        return;
      }
      if (!this.gate(next.signal)) return;
      this.queue.shift();
      this.send(next.signal);
    }
  }

  clear(): void {
    this.queue = [];
  }

  private arrive(signal: Signal): void {
    this.queue.push({ signal, due: performance.now() + this.latency() });
    // With others before it, a timer or resume() is going to flush it.
    if (this.queue.length === 1) this.flush();
  }

  private send(signal: Signal): void {
    if (this.sink.destroyed) return;
    if (signal === 'reset') reset(this.sink);
    else if (signal === 'end') this.sink.end();
    else this.sink.write(signal);
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
