import type { Redis } from 'ioredis';

/**
 * What ioredis writes for commands that leave together, in as few pieces as can be. (A stream that is corked joins nothing: it hands
 * each piece to the socket by itself, with which a `has` of 64 callers takes 1.2 times as long, bench/micro.mjs.)
 *
 * To ioredis it is the stream of a pipeline: commands are written to it that reach the socket later.
 */
export class Packet {
  readonly isPipeline = true;
  readonly pieces: (string | Buffer)[] = [];

  constructor(readonly destination: { readonly redis: Redis }) {}

  /** Called by ioredis. */
  write(data: string | Buffer): void {
    const last = this.pieces.at(-1);
    if (typeof data === 'string' && typeof last === 'string') this.pieces[this.pieces.length - 1] = last + data;
    else this.pieces.push(data);
  }
}
