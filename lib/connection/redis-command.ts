import { Command } from 'ioredis';

/**
 * A command's name and arguments. Nothing but strings and Buffers may reach ioredis: it flattens arrays, and an argument
 * that it cannot write shifts every later reply on the connection to the wrong caller.
 */
export type RedisCommand = readonly [name: string, ...args: (string | Buffer)[]];

/** A reply as Redis sends it, bulk strings as Buffers. */
export type RedisReply = Buffer | number | null | readonly RedisReply[];

/**
 * A command that knows whether it was written to a socket, which decides between the outcomes `not-sent` and `unknown`.
 *
 * Its arguments are never published on ioredis' tracing channels, which would show keys and script arguments.
 */
export class PendingCommand extends Command {
  written = false;
  isCancelled = false;

  constructor([name, ...args]: RedisCommand) {
    super(name, args, { replyEncoding: null });
    this.isTraced = true;
  }

  /** From here on it will not be carried out, unless it was written before. */
  cancel(): void {
    this.isCancelled = true;
  }

  /** Called by ioredis at the moment of writing, which a queue of its own (Cluster, a client brought along) may delay. */
  override toWritable(socket: object): string | Buffer {
    this.written = true;
    // Something must go out in its place, or replies would no longer match commands.
    return this.isCancelled ? '*1\r\n$4\r\nPING\r\n' : super.toWritable(socket);
  }
}
