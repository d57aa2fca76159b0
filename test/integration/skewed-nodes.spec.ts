import { setTimeout as sleep } from 'node:timers/promises';
import { findRedisServer, freePort } from '../../scripts/processes.mjs';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';
import { NO_SHIFT, shiftedServerClock } from '../support/shifted-server-clock.js';

const HALF = 8192;
const keysOf = (tag: string) => Array.from({ length: 40 }, (_, i) => `${tag}, ${i}`);

/** Two masters with half of the slots each. */
async function startPair(environments: (NodeJS.ProcessEnv | undefined)[]): Promise<[RedisServer, RedisServer]> {
  const { version = 7 } = findRedisServer();
  const [busPort, ...others] = await Promise.all(environments.map(freePort));
  const ports = [busPort, ...others];
  const [first, second] = await Promise.all(
    environments.map((env, i) => {
      const bus = version >= 7 ? ['--cluster-port', String(ports[i])] : [];
      return RedisServer.start({ args: ['--cluster-enabled', 'yes', ...bus], ...(env && { env }) });
    }),
  );
  if (!first || !second) throw new Error('there are two');
  for (const [i, node] of [first, second].entries()) {
    await node.cli('CLUSTER', 'ADDSLOTS', ...Array.from({ length: HALF }, (_, slot) => i * HALF + slot));
  }
  await second.cli('CLUSTER', 'MEET', '127.0.0.1', first.port, version >= 7 ? (busPort ?? 0) : first.port + 10_000);
  for (const node of [first, second]) {
    await eventually(async () => expect(await node.cli('CLUSTER', 'INFO')).toContain('cluster_state:ok'), {
      timeout: 20_000,
    });
  }
  return [first, second];
}

const describeIf = NO_SHIFT === undefined ? describe : describe.skip;
const title = `Nodes of a Cluster whose clocks differ by 8 seconds${NO_SHIFT === undefined ? '' : ` (skipped: ${NO_SHIFT})`}`;

describeIf(title, () => {
  let nodes: [RedisServer, RedisServer];
  let app: CacheApp;

  beforeAll(async () => {
    nodes = await startPair([undefined, shiftedServerClock(8)]);
    const url = `redis-cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
    app = await CacheApp.start({ url, namespace: 'skew', ttl: '1h' });
  }, 60_000);
  afterAll(async () => {
    await app?.close();
    await Promise.all(nodes?.map((node) => node.stop()) ?? []);
  });

  /** A tag whose index lies on the first node, or on the second one. */
  async function tagOn(nth: number): Promise<string> {
    for (let i = 0; ; i++) {
      const slot = (await nodes[0].cli('CLUSTER', 'KEYSLOT', `skew#tag ${i}`)) as number;
      if (Math.floor(slot / HALF) === nth) return `tag ${i}`;
    }
  }
  const put = (tag: string, ttl: string) =>
    app.store.putMany(
      keysOf(tag).map((key) => [key, 1]),
      { ttl, tags: [tag] },
    );
  const alive = async (tag: string) =>
    (await app.store.getMany(keysOf(tag))).filter((value) => value !== undefined).length;

  it('do differ by so much', async () => {
    const [one, other] = await Promise.all(
      nodes.map(async (node) => Number(((await node.cli('TIME')) as string[])[0])),
    );
    expect(Math.abs((other ?? 0) - (one ?? 0) - 8)).toBeLessThanOrEqual(1);
  });

  it('let records live for their ttl, give or take the difference', async () => {
    for (const tag of [await tagOn(0), await tagOn(1)]) {
      await put(tag, '1m');
      const lives = await Promise.all(keysOf(tag).map(async (key) => (await app.store.ttl(key)) ?? 0));
      expect(Math.min(...lives)).toBeGreaterThan(50_000);
      expect(Math.max(...lives)).toBeLessThan(69_000);
      expect(await app.store.deleteByTag(tag)).toBe(lives.length);
    }
  });

  it('leave no record that outlives the index of its tag, which deleteByTag would miss', async () => {
    const tags = [await tagOn(0), await tagOn(1)];
    for (const tag of tags) await put(tag, '3s');
    await sleep(9500);
    const outlived = await Promise.all(tags.map(alive));
    expect(Math.max(...outlived)).toBeGreaterThan(0);
    for (const [i, tag] of tags.entries()) {
      expect(await app.store.deleteByTag(tag)).toBe(outlived[i]);
      expect(await alive(tag)).toBe(0);
    }
  }, 30_000);
});
