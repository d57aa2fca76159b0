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

/** What a command on an index may take of Redis' time, in ms. */
const LONGEST = 2;
/** So many of the scripts may take longer, since this machine may be busy with something else. */
const FEW = 0.01;

interface Scripts {
  readonly count: number;
  readonly slow: readonly number[];
}

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

  /** What Redis says of the scripts that ran while something was done: how many, and the times in ms of those that took `threshold`. */
  async function scriptsDuring(action: () => Promise<unknown>, threshold = LONGEST): Promise<Scripts> {
    await server.cli('CONFIG', 'SET', 'slowlog-max-len', 20_000);
    await server.cli('CONFIG', 'SET', 'slowlog-log-slower-than', threshold * 1000);
    await server.cli('SLOWLOG', 'RESET');
    const { evalsha = 0, eval: sources = 0 } = await commandsDuring(server, action);
    await server.cli('CONFIG', 'SET', 'slowlog-log-slower-than', -1);
    const log = (await server.cli('SLOWLOG', 'GET', 20_000)) as [number, number, number, string[]][];
    const slow = log.filter(([, , , [name = '']]) => /^eval/i.test(name));
    return { count: evalsha + sources, slow: slow.map(([, , microseconds]) => microseconds / 1000) };
  }

  /** By how much a script that loops for about 0.3 ms, and looks at no key, takes longer at worst than at best, in ms. */
  async function delay(): Promise<number> {
    const loop = () => server.cli('EVAL', 'local sum = 0 for i = 1, 20000 do sum = sum + i end return sum', 0);
    const { slow } = await scriptsDuring(async () => {
      for (let i = 0; i < 500; i++) await loop();
    }, 0);
    return Math.max(...slow) - Math.min(...slow);
  }

  it.each([
    ['that would have stayed for ever', '+inf', DEAD],
    ['that would have stayed for a while', Date.now() + 10 * HOUR, DEAD],
    ['whose moment has passed', Date.now() - 10 * HOUR, OVERDUE],
  ])(
    '%s: no command keeps Redis from others, and after one walk the cost is that of the live records',
    async (what, score, members) => {
      await fill(score, members);
      let listed: string[] = [];
      const use = await scriptsDuring(async () => {
        for (let i = 0; i < 50; i++) await store.put('live', 1, { tags: [TAG] });
        for (let i = 0; i < 50; i++) await store.touch('live');
        listed = await store.keys({ tag: TAG });
      });
      expect(listed).toEqual(['live']);
      const isOverdue = what === 'whose moment has passed'; // those are trimmed by later commands, bit by bit
      expect(Number(await server.cli('ZCARD', INDEX))).toBeLessThan(isOverdue ? OVERDUE : 2);
      const commands = await commandsDuring(server, () => store.keys({ tag: TAG }));
      expect(Object.values(commands).reduce((sum, calls) => sum + calls, 0)).toBeLessThan(20);
      expect(await store.deleteByTag(TAG)).toBe(1);
      const removal = await scriptsDuring(() => store.clear());
      const slow = [...use.slow, ...removal.slow];
      const count = use.count + removal.count;
      const waited = slow.length > 0 ? await delay() : 0;
      reportFault(`${members} dead members ${what}`, { scripts: count, 'over 2 ms': slow.length, waited });
      expect(count).toBeGreaterThan(250);
      expect(slow.length).toBeLessThanOrEqual(count * FEW);
      // The machine keeps Redis from its work for as long in a script that does nothing.
      expect(Math.max(0, ...slow)).toBeLessThan(LONGEST + Math.max(10, 3 * waited));
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
