import type { RedisCommand, RedisReply } from '../ioredis/command.js';

export type { RedisCommand, RedisReply } from '../ioredis/command.js';

/** What commands go over. */
export interface Sender {
  send(words: RedisCommand, deadline: number): Promise<RedisReply>;
}

/** What a call may still do. */
export interface Call {
  /** The moment (of `now()`) by which it must settle. */
  readonly deadline: number;
  /** Whether it may be sent again when its reply was lost: true of reads only. */
  readonly repeatable: boolean;
  /** Called directly before the command is written, with the link that it goes over: what it sends there comes just before. */
  readonly prelude?: ((link: Sender) => void) | undefined;
}
