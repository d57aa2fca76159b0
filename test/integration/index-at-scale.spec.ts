import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { HOUR } from '../contract/auth-contract.js';
import { commandsDuring } from '../support/command-stats.js';
import { LONG, reportFault } from '../support/fault-report.js';
import { TcpProxy } from '../support/proxy.js';
import type { RedisServer } from '../support/redis-server.js';
import { scriptTimesDuring } from '../support/script-times.js';
import { Stage } from '../support/stage.js';

const OVERDUE = 1_000_000;
/** A walk over a million takes some ten seconds, once. */
const DEAD = LONG ? OVERDUE : 200_000;
const TAG = 'user:42';
const INDEX = `session#${TAG}`;

/** What a script on an index may take of Redis' time, in ms. */
const LONGEST = 2;
// ARGV: the first and the last number, an incarnation, the score of the first, what each further one adds.
const FILL = `
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('ZADD', KEYS[1], ARGV[4] == '+inf' and '+inf' or string.format('%.0f', ARGV[4] + i), ARGV[3] .. 'dead ' .. i)
end
`;

describe('an index with very many members whose records are gone', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;

  beforeAll(async () => (stage = await Stage.redis()));
  beforeEach(async () => {
    ({ server } = stage);
    await server.cli('FLUSHALL');
    store = await stage.open({ namespace: 'session', ttl: '1h' });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  async function fill(score: number | string, count: number): Promise<void> {
    const incarnation = newIncarnation(Date.now() - HOUR);
    for (let i = 0; i < count; i += 20_000) {
      await server.cli('EVAL', FILL, 1, INDEX, i, Math.min(i + 20_000, count) - 1, incarnation, score);
    }
  }

  /** What the scripts of calls under the tag cost, with so many dead members in its index. */
  async function timesOf(score: number | string, members: number): Promise<number[]> {
    await server.cli('FLUSHALL');
    await fill(score, members);
    let listed: string[] = [];
    const times = await scriptTimesDuring(server, async () => {
      for (let i = 0; i < 50; i++) await store.put('live', 1, { tags: [TAG] });
      for (let i = 0; i < 50; i++) await store.touch('live');
      await store.put('limited', 1, { tags: [TAG], limit: { tag: TAG, records: 2 } }); // walks: others may be alive
      listed = await store.keys({ tag: TAG });
    });
    expect(listed).toEqual(['limited', 'live']);
    const isOverdue = Number(score) < Date.now(); // those are trimmed by later commands, bit by bit
    expect(Number(await server.cli('ZCARD', INDEX))).toBeLessThan(isOverdue ? members : 3);
    const commands = await commandsDuring(server, () => store.keys({ tag: TAG }));
    expect(Object.values(commands).reduce((sum, calls) => sum + calls, 0)).toBeLessThan(20);
    let deleted = 0;
    const removal = await scriptTimesDuring(server, async () => {
      deleted = await store.deleteByTag(TAG);
      await store.clear();
    });
    expect(deleted).toBe(2);
    expect(times.length + removal.length).toBeGreaterThan(250);
    return [...times, ...removal];
  }

  it.each([
    ['that would have stayed for ever', '+inf', DEAD],
    ['that would have stayed for a while', Date.now() + 10 * HOUR, DEAD],
    ['whose moment has passed', Date.now() - 10 * HOUR, OVERDUE],
  ])(
    '%s: no command keeps Redis from others, and after one walk the cost is that of the live records',
    async (what, score, members) => {
      let longest = Infinity;
      // What a script costs, it costs in every run. In one of 100,000 an interrupt is charged to the thread, of up to 10 ms.
      for (let run = 0; run < 3 && longest >= LONGEST; run++) {
        const times = await timesOf(score, members);
        longest = Math.max(...times);
        reportFault(`${members} dead members ${what}`, { scripts: times.length, longest });
      }
      expect(longest).toBeLessThan(LONGEST);
    },
    300_000,
  );

  it('becomes smaller with every write once the moment of its members has passed', async () => {
    await fill(Date.now() - 10 * HOUR, 1000);
    await store.put('live', 1, { tags: [TAG] });
    const left = Number(await server.cli('ZCARD', INDEX));
    expect(left).toBeLessThan(1000);
    for (let i = 0; i < 20; i++) await store.touch('live');
    expect(await server.cli('ZCARD', INDEX)).toBe(1);
  });
});

describe('deleteByTag of large records', () => {
  it('reads and sends their heads only, so that it makes progress on a slow line', async () => {
    const stage = await Stage.redis();
    const proxy = await TcpProxy.start(stage.server);
    try {
      const direct = await stage.open({ namespace: 'session', ttl: '1h' });
      const records = Array.from({ length: 300 }, (_, i) => [`key ${i}`, 'x'.repeat(20_000)] as const);
      for (let i = 0; i < 300; i += 50) await direct.putMany(records.slice(i, i + 50), { tags: [TAG] });
      const remote = await stage.open({ url: proxy.url, namespace: 'session', ttl: '1h' });
      const before = proxy.bytes.requests + proxy.bytes.replies;
      expect(await remote.deleteByTag(TAG)).toBe(300);
      // 6 MB of values: neither read nor sent back to be compared.
      expect(proxy.bytes.requests + proxy.bytes.replies - before).toBeLessThan(1_000_000);
      expect(await direct.keys()).toEqual([]);
    } finally {
      await stage.clean();
      await proxy.stop();
      await stage.stop();
    }
  });
});
