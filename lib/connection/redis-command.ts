import { Command } from 'ioredis';

/**
 * A command's name and arguments. Nothing but strings and Buffers may reach ioredis: it flattens arrays, and an argument
 * that it cannot write shifts every later reply on the connection to the wrong caller. It looks a name up in four tables, as small
 * letters: a name that is not yet so costs the search for an equal string each time.
 */
export type RedisCommand = readonly [name: Lowercase<string>, ...args: (string | Buffer)[]];

/** What a call may still do. */
export interface Call {
  /** The moment (of `performance.now()`) by which it must settle. */
  readonly deadline: number;
  /** Whether it may be sent again when its reply was lost: true of reads only. */
  readonly repeatable: boolean;
  /** Whether the command stands for many calls already, so that there is no sense in waiting for others to go with it. */
  readonly isBatch?: boolean;
}

/** At least as much as the length and the ends of lines around a word take, the number of words included. In bytes. */
const WORD_OVERHEAD = 32;

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

  readonly #words: RedisCommand;

  constructor(words: RedisCommand) {
    // Without its arguments, which ioredis would flatten and convert.
    super(words[0], [], { replyEncoding: null });
    this.args = words.slice(1);
    this.#words = words;
    this.isTraced = true;
  }

  /** From here on it will not be carried out, unless it was written before. */
  cancel(): void {
    this.isCancelled = true;
  }

  /** Called by ioredis at the moment of writing, which a queue of its own (Cluster, a client brought along) may delay. */
  override toWritable(): string | Buffer {
    this.written = true;
    // Something must go out in its place, or replies would no longer match commands.
    return encode(this.isCancelled ? ['ping'] : this.#words);
  }
}

/** The bytes of a command: a tenth of the time of a write is saved by making them in one piece, which ioredis does not. */
function encode(words: RedisCommand): string | Buffer {
  let bytes: Buffer | undefined;
  let at = 0;
  let text = `*${words.length}\r\n`;
  for (const word of words) {
    text += `$${Buffer.byteLength(word)}\r\n`;
    if (typeof word === 'string') text += word;
    else {
      bytes ??= Buffer.allocUnsafe(words.reduce((size, each) => size + Buffer.byteLength(each) + WORD_OVERHEAD, 0));
      at += bytes.write(text, at);
      at += word.copy(bytes, at);
      text = '';
    }
    text += '\r\n';
  }
  return bytes ? bytes.subarray(0, at + bytes.write(text, at)) : text;
}
