import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterDeployment } from '../support/cluster.js';
import { LONG } from '../support/fault-report.js';
import { SentinelDeployment } from '../support/sentinel.js';
import { check } from './explain.js';
import { type Faults, Fleet } from './fleet.js';
import type { History } from './history.js';
import { reportHistories } from './report.js';
import { expectLinearizable } from './verdict.js';

const LOAD = { keys: 32, tags: 4, callers: 4, clients: 3, pause: 12 };
const STORE = { namespace: 'lin', timeout: 500 };
/** How long the workers call around each fault, in ms. */
const AROUND = 1500;
const LEASE = 500;

// Minutes of failovers, of which test/chaos has a short form.
const describeLong = LONG ? describe : describe.skip;

describeLong('Where servers replace each other', () => {
  let fleet: Fleet;

  beforeAll(async () => (fleet = await Fleet.start(3)), 60_000);
  afterAll(() => fleet?.stop());

  async function run(url: string, faults: [name: string, fault: () => Promise<unknown>][]) {
    const crews = [{ url }, { url }, { url, lease: LEASE }];
    return fleet.run(LOAD, crews, STORE, async (log: Faults) => {
      for (const [name, fault] of faults) {
        await sleep(AROUND);
        await log.during(name, fault);
      }
      await sleep(AROUND);
    });
  }

  /** Replication is asynchronous: a failover may lose what was acknowledged. All else holds, and losses are counted. */
  function expectLossesOnly(name: string, history: History): void {
    expect(history.calls.filter(({ outcome }) => outcome === 'broken')).toEqual([]);
    expect(history.calls.filter(({ outcome }) => outcome === 'ok').length).toBeGreaterThan(500);
    reportHistories(name, [history], check(history).length);
  }

  it('Sentinel: calls go on after failovers, and what those lost is counted', async () => {
    const deployment = await SentinelDeployment.start({ appendonly: true });
    try {
      const history = await run(deployment.url, [
        [
          'kill -9 of the master',
          async () => {
            const old = await deployment.master();
            await old.kill9();
            await deployment.masterOtherThan(old);
            await old.restart();
            await deployment.converged();
          },
        ],
        ['SENTINEL FAILOVER', () => deployment.failover().then(() => deployment.converged())],
      ]);
      expectLossesOnly('Sentinel: kill -9 of the master, SENTINEL FAILOVER', history);
    } finally {
      await deployment.stop();
    }
  }, 240_000);

  it('Cluster: calls go on after failovers, and what those lost is counted', async () => {
    const cluster = await ClusterDeployment.start({ appendonly: true });
    try {
      const [first, second] = await cluster.masters();
      if (!first || !second) throw new Error('no masters');
      const history = await run(cluster.url, [
        [
          'kill -9 of a master',
          async () => {
            const slot = await cluster.slotOf('lin:key0');
            const old = await cluster.ownerOfSlot(slot);
            await old.kill9();
            await cluster.ownerOfSlot(slot);
            await old.restart();
            await cluster.settled();
          },
        ],
        [
          'CLUSTER FAILOVER',
          async () => {
            await cluster.failover(await cluster.ownerOf('lin:key1'));
            await cluster.settled();
          },
        ],
      ]);
      expectLossesOnly('Cluster: kill -9 of a master, CLUSTER FAILOVER', history);
    } finally {
      await cluster.stop();
    }
  }, 240_000);

  it('Cluster: while slots move, every history is linearizable', async () => {
    const cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 });
    try {
      const history = await run(cluster.url, [
        [
          'resharding',
          async () => {
            const masters = await cluster.masters();
            for (let i = 0; i < LOAD.keys; i++) {
              const slot = await cluster.slotOf(`lin:key${i}`);
              const owner = await cluster.ownerOfSlot(slot);
              await cluster.moveSlot(slot, masters.find((master) => master !== owner) ?? owner);
              await sleep(50);
            }
          },
        ],
      ]);
      expectLinearizable('resharding', history);
      reportHistories('Cluster: resharding', [history], 0);
    } finally {
      await cluster.stop();
    }
  }, 240_000);
});
