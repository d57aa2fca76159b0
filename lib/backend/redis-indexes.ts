import type { RedisConnection } from '../connection/redis-connection.js';
import type { RedisReply } from '../connection/call.js';
import { CLOCK_SKEW } from './indexes.js';
import type { IndexBackend, IndexMember, Membership } from './indexes.js';
import type { RedisCaller } from './redis-caller.js';
import { keysMoved, WALK_RESTARTS } from './whole-walks.js';
import { ADD_TO_INDEX, ADMIT_TO_INDEX, INDEX_PAGE, NEVER, REMOVE_FROM_INDEX } from './redis-scripts.js';
import { chunks } from './writes-in-parts.js';

/** Members of one page, and of one removal: as many as one command looks for the records of. Some 0.2 ms of Redis' time in an index of a million. */
const PAGE = 200;

/** Indexes as sorted sets, whose scores are the moments. */
export class RedisIndexes implements IndexBackend {
  private readonly skew: string;

  constructor(
    private readonly connection: RedisConnection,
    private readonly caller: RedisCaller,
  ) {
    this.skew = String(connection.isCluster ? CLOCK_SKEW : 0);
  }

  async addToIndex(
    index: string,
    member: string,
    { ttl, successorOf = '' }: Membership,
    deadline: number,
  ): Promise<number> {
    const args = [this.skew, member, String(ttl ?? ''), successorOf];
    return moment(await this.caller.run(ADD_TO_INDEX, [index], args, deadline));
  }

  async admitToIndex(
    index: string,
    member: string,
    { ttl, successorOf = '' }: Membership,
    most: number,
    deadline: number,
  ): Promise<boolean> {
    const args = [this.skew, member, String(ttl ?? ''), successorOf, String(most)];
    return (await this.caller.run(ADMIT_TO_INDEX, [index], args, deadline)) === 1;
  }

  async removeFromIndex(
    index: string,
    members: readonly string[],
    generation: number,
    deadline: number,
  ): Promise<void> {
    for (const some of chunks(members, PAGE)) {
      await this.caller.run(REMOVE_FROM_INDEX, [index], [this.skew, ...some], deadline, generation);
    }
  }

  async *indexMembers(index: string): AsyncIterable<readonly IndexMember[]> {
    let { generation } = this.connection;
    for (let last = '', score = '', restarts = 0; ;) {
      const { deadline } = this.connection.call(true);
      const reply = await this.caller.ask(INDEX_PAGE, [index], [this.skew, String(PAGE), last, score], deadline);
      // Another server may have members before that place that came after it on the one before.
      if (generation !== this.connection.generation) {
        if (restarts++ === WALK_RESTARTS) throw keysMoved();
        [last, score, { generation }] = ['', '', this.connection];
        continue;
      }
      const found = (reply as readonly RedisReply[]).map(String);
      const page: IndexMember[] = [];
      for (let i = 0; i + 1 < found.length; i += 2) {
        [last = '', score = ''] = found.slice(i, i + 2);
        page.push({ member: last, until: moment(score) });
      }
      if (page.length > 0) yield page;
      if (page.length < PAGE) return;
    }
  }
}

function moment(score: RedisReply | string): number {
  const number = Number(score);
  return number < NEVER ? number : Infinity;
}
