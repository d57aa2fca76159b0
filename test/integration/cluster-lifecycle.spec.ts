import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { expectShort, wayToSocket } from '../support/way-to-socket.js';

describe('On a Cluster', () => {
  let cluster: ClusterDeployment;
  beforeAll(async () => (cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 })), 60_000);
  afterAll(() => cluster?.stop());

  it('a guard’s get reaches the socket through at most 7 files and 10 calls', async () => {
    const app = await CacheApp.start({ url: cluster.url });
    await app.store.put('key', 1);
    expectShort(await wayToSocket('cache:key', () => app.store.get('key')));
    await app.close();
  });

  it('a closed connection leaves no timer behind, although it was asking who has which slots', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const app = await CacheApp.start({ url: cluster.url, timeout: 1000 });
    await app.store.put('key', 1);
    for (const node of cluster.nodes) node.freeze();
    await sleep(1500); // it asks every second
    const closed = app.close();
    await sleep(100);
    for (const node of cluster.nodes) node.thaw();
    await closed;
    await eventually(() => expect(timers()).toBeLessThanOrEqual(before));
    await sleep(1500);
    expect(timers()).toBeLessThanOrEqual(before);
  });
});
