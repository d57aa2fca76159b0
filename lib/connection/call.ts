import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import { now } from '../redis-cache.timers.js';
import { SHORTEST_PAUSE } from './backoff.js';
import type { NodeLink } from './node-link.js';

export type { RedisCommand, RedisReply } from '../ioredis/command.js';

/** What a call may still do. */
export interface Call {
  /** The moment (of `now()`) by which it must settle. */
  readonly deadline: number;
  /** Whether it may be sent again when its reply was lost: true of reads only. */
  readonly repeatable: boolean;
  /** Of the connection: once it has another one, the command is not sent any more. */
  readonly generation?: number | undefined;
  /** Whether the reply may be so large that it would hold up others: it comes over a connection of its own, if one can be had. */
  readonly aside?: boolean | undefined;
  /** How many bytes the reply is expected to have, asked when the command is written; absent: a few. */
  readonly replySize?: (() => number) | undefined;
  /**
   * Called directly before the command is written, each time, with the link that it goes over: what it sends there comes just
   * before. `undefined`: ASKING does, which leaves no room for anything else.
   */
  readonly prelude?: ((link: NodeLink | undefined) => void) | undefined;
}

/** How long calls wait out an interruption, counted from its beginning, as a part of `timeout`. */
export const BLIP = 1 / 4;

/**
 * Whether a call that failed may be sent again: nobody carried it out, and its interruption is a short one so far, or repeating it
 * is harmless and it is the first time.
 */
export function mayRepeat(error: unknown, { deadline, repeatable }: Call, timeout: number, repeated: boolean): boolean {
  if (now() + SHORTEST_PAUSE >= deadline) return false;
  const isShort = now() < deadline - timeout + timeout * BLIP;
  // A master that was demoted: the next link leads to its successor.
  if (error instanceof CacheCommandError) return error.reply === 'READONLY' && isShort;
  if (!(error instanceof CacheUnavailableError) || error.reason !== 'disconnected') return false;
  return error.outcome === 'unknown' ? repeatable && !repeated : isShort;
}
