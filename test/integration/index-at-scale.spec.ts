import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { HOUR } from '../contract/auth-contract.js';
import { commandsDuring } from '../support/command-stats.js';
import { reportFault } from '../support/fault-report.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';

/** A walk over so many takes a few seconds, once. */
const DEAD = 200_000;
const OVERDUE = 1_000_000;
const TAG = 'user:42';
const INDEX = `session#${TAG}`;

/**
 * What a command may take of Redis' time, in ms, by its median. It is meant to be 2, and takes about 0.5 to itself; but this
 * machine may be busy with something else.
 */
const LONGEST_MEDIAN = 2;

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

  /** How long the scripts took on the server while something was done, in ms: the slowest, and the one in the middle. */
  async function timesOf(action: () => Promise<unknown>): Promise<{ median: number; slowest: number }> {
    await server.cli('CONFIG', 'SET', 'slowlog-max-len', 20_000, 'slowlog-log-slower-than', 0);
    await server.cli('SLOWLOG', 'RESET');
    await action();
    await server.cli('CONFIG', 'SET', 'slowlog-log-slower-than', -1);
    const log = (await server.cli('SLOWLOG', 'GET', -1)) as [number, number, number, string[]][];
    const scripts = log
      .filter(([, , , [name = '']]) => /^eval/i.test(name))
      .map(([, , microseconds]) => microseconds / 1000);
    const times = scripts.toSorted((a, b) => a - b);
    return { median: times[Math.floor(times.length / 2)] ?? 0, slowest: times.at(-1) ?? 0 };
  }

  it.each([
    ['that would have stayed for ever', '+inf', DEAD],
    ['that would have stayed for a while', Date.now() + 10 * HOUR, DEAD],
    ['whose moment has passed', Date.now() - 10 * HOUR, OVERDUE],
  ])(
    '%s: no command keeps Redis from others, and after one walk the cost is that of the live records',
    async (what, score, count) => {
      await fill(score, count);
      const put = await timesOf(() => store.put('live', 1, { tags: [TAG] }));
      const touch = await timesOf(() => store.touch('live'));
      let listed: string[] = [];
      const walk = await timesOf(async () => (listed = await store.keys({ tag: TAG })));
      reportFault(`${count} dead members ${what}: medians (ms)`, {
        put: put.median,
        touch: touch.median,
        walk: walk.median,
      });
      expect(listed).toEqual(['live']);
      for (const { median } of [put, touch, walk]) expect(median).toBeLessThan(LONGEST_MEDIAN);
      const isOverdue = what === 'whose moment has passed'; // those are trimmed by later commands, bit by bit
      expect(Number(await server.cli('ZCARD', INDEX))).toBeLessThan(isOverdue ? OVERDUE : 2);
      const commands = await commandsDuring(server, () => store.keys({ tag: TAG }));
      expect(Object.values(commands).reduce((sum, calls) => sum + calls, 0)).toBeLessThan(20);
      expect(await store.deleteByTag(TAG)).toBe(1);
      const removal = await timesOf(() => store.clear());
      expect(removal.median).toBeLessThan(LONGEST_MEDIAN);
    },
    120_000,
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
