import type { RedisConnection } from '../connection/redis-connection.js';
import type { RedisCommand, RedisReply } from '../connection/call.js';
import { CacheCommandError } from '../redis-cache.errors.js';
import type { RedisScript } from './redis-scripts.js';

/** How commands and scripts are sent. What writes is told to the feed, and sent once. */
export class RedisCaller {
  constructor(private readonly connection: RedisConnection) {}

  read(command: RedisCommand, deadline: number, aside = false): Promise<RedisReply> {
    return this.connection.send(command, { deadline, repeatable: true, aside });
  }

  /** @param generation - the only one of the connection that it is sent in; absent: any */
  write(command: RedisCommand, keys: readonly string[], deadline: number, generation?: number): Promise<RedisReply> {
    const call = { deadline, repeatable: false, generation };
    return this.connection.feed.around(keys, () => this.connection.send(command, call));
  }

  /** A script that writes. */
  run(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    deadline: number,
    generation?: number,
  ): Promise<RedisReply> {
    return this.call(script, keys, args, (command) => this.write(command, keys, deadline, generation));
  }

  /** A script that may as well run twice. */
  ask(
    script: RedisScript,
    keys: readonly string[],
    args: readonly string[],
    deadline: number,
    aside?: boolean,
  ): Promise<RedisReply> {
    return this.call(script, keys, args, (command) => this.read(command, deadline, aside));
  }

  /** By digest; with its source where Redis does not know it yet (NOSCRIPT: nothing was run). */
  private async call(
    { sha1, source }: RedisScript,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    send: (command: RedisCommand) => Promise<RedisReply>,
  ): Promise<RedisReply> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await send(['evalsha', sha1, ...rest]);
    } catch (error) {
      if (!(error instanceof CacheCommandError && error.reply === 'NOSCRIPT')) throw error;
      return send(['eval', source, ...rest]);
    }
  }
}
