import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { ClusterDeployment } from './cluster.js';
import { eventually } from './eventually.js';
import { LEASE, NearFleet } from './near-fleet.js';
import { NAMESPACE } from './near-stage.js';
import { KEYS, Step } from './near-world.js';
import { RedisServer } from './redis-server.js';

const WITHIN = { timeout: 20_000 };

/** On one server, whose acknowledged writes are on disk. */
export class ServerFleet extends NearFleet {
  static async start(): Promise<ServerFleet> {
    const server = await RedisServer.start({ appendonly: true });
    const fleet = new ServerFleet(server);
    await fleet.open(server.url, ([proxy]) => ({ url: proxy?.url }));
    return fleet;
  }

  private constructor(readonly server: RedisServer) {
    super([server]);
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.server.stop();
  }
}

/** On a Cluster of three masters with a replica each. */
export class ClusterFleet extends NearFleet {
  static async start(): Promise<ClusterFleet> {
    const cluster = await ClusterDeployment.start();
    const fleet = new ClusterFleet(cluster);
    const places = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`);
    await fleet.open(cluster.url, (proxies) => {
      const natMap = Object.fromEntries(
        proxies.map(({ port }, i) => [places[i], { host: '127.0.0.1', port }] as const),
      );
      return { url: `redis-cluster://${proxies.map(({ port }) => `127.0.0.1:${port}`).join(',')}`, redis: { natMap } };
    });
    return fleet;
  }

  override drift = 100;

  private constructor(readonly cluster: ClusterDeployment) {
    super(cluster.nodes);
  }

  /** Moves the slot of a record, which Redis tells of like of a deletion. */
  async reshard(key: string, pause: number): Promise<void> {
    const { cluster } = this;
    const redisKey = `${NAMESPACE}:${key}`;
    const from = await cluster.ownerOf(redisKey);
    const to = (await cluster.masters()).find((master) => master !== from) as RedisServer;
    const slot = await cluster.slotOf(redisKey);
    await cluster.moveSlot(slot, to, () => sleep(pause));
  }

  async failOver(key: string): Promise<void> {
    const { cluster } = this;
    await this.unsettle(async () => {
      await cluster.failover(await cluster.ownerOf(`${NAMESPACE}:${key}`));
      await cluster.settled();
    });
  }

  /** The replica of a master that fails takes over; when all instances have noticed that, the master comes back. */
  async lose(key: string, fail: (master: RedisServer) => unknown, revive: (master: RedisServer) => unknown) {
    const { cluster } = this;
    const master = await cluster.ownerOf(`${NAMESPACE}:${key}`);
    const successor = await cluster.replicaOf(master);
    await this.unsettle(async () => {
      await this.still(async () => {
        // What has been acknowledged is not lost: that would be Redis', and no matter of copies.
        const offset = offsetOf(await master.cli('INFO', 'replication'));
        await eventually(async () =>
          expect(offsetOf(await successor.cli('INFO', 'replication'))).toBeGreaterThanOrEqual(offset),
        );
        await fail(master);
      });
      await successor.cli('CLUSTER', 'FAILOVER', 'TAKEOVER');
      for (const { store } of [...this.instances, this.outsider]) {
        await eventually(() => store.put(`${key}moved`, 1), WITHIN);
      }
      await revive(master);
      await cluster.settled();
    });
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.cluster.stop();
  }
}

function offsetOf(info: unknown): number {
  return Number(/(?:slave|master)_repl_offset:(\d+)/.exec(String(info))?.[1]);
}

const processes = fc.constantFrom(0, 1);
const kinds = fc.constantFrom('feed', 'replies of the feed', 'all');
const lengths = fc.integer({ min: 20, max: 2 * LEASE });

const stall = fc
  .tuple(processes, kinds, lengths)
  .map(
    ([process, which, ms]) =>
      new Step<NearFleet>(`stall ${which} of process ${process} for ${ms} ms`, (fleet) =>
        fleet.stall(process, which, ms),
      ),
  );
const kill = fc
  .constantFrom('pubsub', 'normal')
  .map((type) => new Step<NearFleet>(`kill all connections of type ${type}`, (fleet) => fleet.kill(type)));

export const serverFaults: fc.Arbitrary<Step<ServerFleet>> = fc.oneof(
  stall,
  kill,
  fc.constant(new Step<ServerFleet>('FLUSHALL', (fleet) => fleet.flush([fleet.server]))),
  lengths.map((ms) => {
    return new Step<ServerFleet>(`freeze the server for ${ms} ms`, (fleet) =>
      fleet.unsettle(async () => {
        fleet.server.freeze();
        await sleep(ms);
        fleet.server.thaw();
      }),
    );
  }),
  fc.constant(
    new Step<ServerFleet>('the server dies and starts again', (fleet) =>
      fleet.unsettle(async () => {
        await fleet.server.kill9();
        await fleet.server.restart();
      }),
    ),
  ),
);

const onKey = (name: string, act: (fleet: ClusterFleet, key: string) => Promise<unknown>) =>
  fc.constantFrom(...KEYS).map((key) => {
    return new Step<ClusterFleet>(`${name} of key ${key} of the first history`, (fleet) =>
      act(fleet, fleet.worlds[0]?.key(key) ?? ''),
    );
  });

export const clusterFaults: fc.Arbitrary<Step<ClusterFleet>> = fc.oneof(
  stall,
  kill,
  fc.constant(new Step<ClusterFleet>('FLUSHALL', async (fleet) => fleet.flush(await fleet.cluster.masters()))),
  lengths.chain((ms) => onKey(`reshard, ${ms} ms long, the slot`, (fleet, key) => fleet.reshard(key, ms))),
  onKey('fail over by hand the master', (fleet, key) => fleet.failOver(key)),
  onKey('freeze the master', (fleet, key) =>
    fleet.lose(
      key,
      (master) => master.freeze(),
      (master) => master.thaw(),
    ),
  ),
  onKey('kill the master', (fleet, key) =>
    fleet.lose(
      key,
      (master) => master.kill9(),
      (master) => master.restart(),
    ),
  ),
);
