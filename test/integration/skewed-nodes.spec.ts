import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { startNode } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import type { RedisServer } from '../support/redis-server.js';
import { NO_SHIFT, shiftedServerClock } from '../support/shifted-server-clock.js';

const HALF = 8192;
const keysOf = (tag: string) => Array.from({ length: 40 }, (_, i) => `${tag}, ${i}`);

/** Two masters with half of the slots each; the wall clock of the second one is so many seconds ahead. */
async function startPair(ahead: number, dir: string): Promise<[RedisServer, RedisServer]> {
  const [first, second] = await Promise.all([startNode(), startNode({ env: shiftedServerClock(ahead, dir) })]);
  const pair: [RedisServer, RedisServer] = [first.server, second.server];
  for (const [i, node] of pair.entries()) {
    await node.cli('CLUSTER', 'ADDSLOTS', ...Array.from({ length: HALF }, (_, slot) => i * HALF + slot));
  }
  await second.server.cli('CLUSTER', 'MEET', '127.0.0.1', first.server.port, first.busPort);
  for (const node of pair) {
    await eventually(async () => expect(await node.cli('CLUSTER', 'INFO')).toContain('cluster_state:ok'), {
      timeout: 20_000,
    });
  }
  return pair;
}

const describeIf = NO_SHIFT === undefined ? describe : describe.skip;
const title = `Nodes of a Cluster whose clocks differ by 8 seconds${NO_SHIFT === undefined ? '' : ` (skipped: ${NO_SHIFT})`}`;

describeIf(title, () => {
  let dir: string;
  let nodes: [RedisServer, RedisServer];
  let app: CacheApp;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'clock-'));
    nodes = await startPair(8, dir);
    const url = `redis-cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
    app = await CacheApp.start({ url, namespace: 'skew', ttl: '1h' });
  }, 60_000);
  afterAll(async () => {
    await app?.close();
    await Promise.all(nodes?.map((node) => node.stop()) ?? []);
    rmSync(dir, { recursive: true, force: true });
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
