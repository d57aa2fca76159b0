import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { endure } from '../support/endure.js';
import { LONG } from '../support/fault-report.js';
import { expectPromisesKept } from '../support/load.js';

const TIMEOUT = 2000;

describe('On a Cluster of which masters are replaced by new machines', () => {
  let cluster: ClusterDeployment;
  const apps: CacheApp[] = [];

  beforeAll(async () => {
    cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 });
  }, 60_000);
  afterAll(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await cluster?.stop();
  }, 20_000);

  /** Nobody tries to connect to a machine that is gone: longer than the longest pause between two attempts. */
  async function expectLeft(port: number | undefined): Promise<void> {
    let attempts = 0;
    const server = createServer((socket) => {
      attempts++;
      socket.destroy();
    });
    await once(server.listen(port, '127.0.0.1'), 'listening');
    await sleep(2200);
    server.close();
    expect(attempts).toBe(0);
  }

  it('promises 1, 3 and 4 hold, and the applications are connected to the masters that there are then', async () => {
    const start = () => CacheApp.start({ url: cluster.url, timeout: TIMEOUT, namespace: 'chaos' });
    apps.push(await start(), await start());
    const old = (await cluster.masters()).slice(0, LONG ? 3 : 1);
    const report = await endure('Cluster: masters replaced by new machines', apps, async () => {
      for (const master of old) await cluster.replace(master);
    });
    expectPromisesKept(report, TIMEOUT);
    const masters = await cluster.masters();
    expect(masters.filter((master) => old.includes(master))).toEqual([]);
    for (const { connection } of apps) expect(connection.status).toBe('ready');
    await expectLeft(old[0]?.port);
  }, 180_000);
});
