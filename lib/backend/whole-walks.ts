import type { NodeLink } from '../connection/node-link.js';
import type { RedisConnection } from '../connection/redis-connection.js';
import { SLOTS } from '../connection/topology/slot-map.js';
import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';

/** How often a walk begins again after losing a connection. */
export const WALK_RESTARTS = 3;

/** What the masters of a Cluster say of their own slots, which the others may have heard of late, or never: that one is moving. */
export interface OwnSlots {
  /** The same text: the same masters have the same slots, and the same ones are moving. */
  readonly said: string;
  /** Whether keys are moving from one to another. */
  readonly areMoving: boolean;
}

/**
 * Asks all masters of a Cluster for their slots; where nobody may ask (CLUSTER NODES is not permitted), nothing is known.
 *
 * @throws CacheUnavailableError if they do not have each slot once: a walk over them would not come to all keys
 */
export async function ownSlots(
  connection: RedisConnection,
  masters: readonly NodeLink[],
): Promise<OwnSlots | undefined> {
  if (!connection.isCluster) return undefined;
  const call = connection.call(true);
  const asked = masters.map((link) => connection.send(['cluster', 'NODES'], call, link));
  try {
    const said = (await Promise.all(asked)).map((reply) => slotsOf(String(reply)));
    const ranges = said.flat().filter((range) => !range.startsWith('['));
    if (ranges.reduce((sum, range) => sum + sizeOf(range), 0) !== SLOTS) throw keysMoved();
    return { said: said.join(), areMoving: said.flat().length > ranges.length };
  } catch (error) {
    if (error instanceof CacheCommandError) return undefined;
    throw error;
  }
}

/** What fails a walk that may have missed keys. */
export function keysMoved(): CacheUnavailableError {
  return new CacheUnavailableError('disconnected', 'unknown', 'keys moved between servers amid a walk');
}

/**
 * The slots of the node that says so: `0-5460`, `7000`, and `[93-<-id]` or `[77->-id]` for one that is moving
 * (https://redis.io/docs/latest/commands/cluster-nodes/).
 */
function slotsOf(reply: string): readonly string[] {
  const own = reply.split('\n').find((line) => line.split(' ', 3)[2]?.includes('myself'));
  return own?.trim().split(' ').slice(8) ?? [];
}

function sizeOf(range: string): number {
  const [from = 0, to = from] = range.split('-').map(Number);
  return to - from + 1;
}
