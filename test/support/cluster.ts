import { findRedisServer, freePort } from '../../scripts/processes.mjs';
import { eventually } from './eventually.js';
import { RedisServer } from './redis-server.js';

export interface ClusterOptions {
  /** Silence after which a node takes another for down. Default 1000 ms. */
  nodeTimeout?: number;
  password?: string;
  appendonly?: boolean;
  /** Of a single node. Default: a free one. */
  port?: number;
  env?: NodeJS.ProcessEnv;
}

const MASTERS = 3;
const SLOTS = 16_384;
const SETTLED_WITHIN = 30_000;

interface ClusterNode {
  id: string;
  port: number;
  flags: string[];
  masterId: string;
  linked: boolean;
}

/** Three masters with a replica each. */
export class ClusterDeployment {
  /** Resolves once every node says `cluster_state:ok` and every master has its replica in step. */
  static async start(options: ClusterOptions = {}): Promise<ClusterDeployment> {
    const started = await Promise.all(Array.from({ length: MASTERS * 2 }, () => startNode(options)));
    const nodes = started.map(({ server }) => server);
    const cluster = new ClusterDeployment(nodes, options);
    try {
      await cluster.form(started[0]?.busPort ?? 0);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  private constructor(
    readonly nodes: RedisServer[],
    private readonly options: ClusterOptions,
  ) {}

  private get password(): string | undefined {
    return this.options.password;
  }

  get url(): string {
    const login = this.password === undefined ? '' : `:${encodeURIComponent(this.password)}@`;
    return `redis-cluster://${login}${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  async slotOf(key: string | Buffer): Promise<number> {
    const live = await this.live();
    return (await live.cli('CLUSTER', 'KEYSLOT', key)) as number;
  }

  /** The lowest of the slots that a master has. */
  async firstSlotOf(master: RedisServer | undefined): Promise<number> {
    const live = await this.live();
    const ranges = (await live.cli('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
    return ranges.find(([, , [, port]]) => port === master?.port)?.[0] ?? 0;
  }

  /** The master that the key is on now; waits for a failover under way to end. */
  async ownerOf(key: string | Buffer): Promise<RedisServer> {
    return this.ownerOfSlot(await this.slotOf(key));
  }

  async ownerOfSlot(slot: number): Promise<RedisServer> {
    return eventually(
      async () => {
        const owner = await this.agreed(async (node) => {
          const ranges = (await node.cli('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
          return ranges.find(([from, to]) => from <= slot && slot <= to)?.[2][1];
        });
        expect(await owner.cli('ROLE')).toContain('master');
        return owner;
      },
      { timeout: SETTLED_WITHIN },
    );
  }

  async masters(): Promise<RedisServer[]> {
    const known = await this.view(await this.live());
    const masters = known.filter(({ flags }) => flags.includes('master') && !flags.includes('fail'));
    return masters.map(({ port }) => this.byPort(port));
  }

  async replicaOf(master: RedisServer): Promise<RedisServer> {
    const known = await this.view(master);
    const id = known.find(({ flags }) => flags.includes('myself'))?.id;
    return this.byPort(known.find(({ masterId, linked }) => masterId === id && linked)?.port);
  }

  /** A failover by hand: the replica of this master takes its place, nothing is lost. Answers the new master. */
  async failover(master: RedisServer): Promise<RedisServer> {
    return this.handOver(master, await this.replicaOf(master));
  }

  /**
   * Puts a new machine in the place of a master while clients go on, as operators do: the new one joins as a replica, takes over,
   * and the old one is forgotten and shut down. Answers the new master.
   */
  async replace(master: RedisServer): Promise<RedisServer> {
    const { server, busPort } = await startNode(this.options);
    this.nodes.push(server);
    const id = await this.idOf(master);
    await master.cli('CLUSTER', 'MEET', '127.0.0.1', server.port, busPort);
    await eventually(() => server.cli('CLUSTER', 'REPLICATE', id), { timeout: SETTLED_WITHIN });
    await eventually(
      async () => {
        expect(await server.cli('INFO', 'replication')).toContain('master_link_status:up');
        // Masters vote for no replica that they have not heard of.
        for (const node of this.nodes) {
          const known = (await this.view(node)).find(({ port }) => port === server.port);
          expect(known).toMatchObject({ masterId: id });
        }
      },
      { timeout: SETTLED_WITHIN },
    );
    await this.handOver(master, server);
    this.nodes.splice(this.nodes.indexOf(master), 1);
    // A replica of the old master cannot forget it before it follows the new one.
    const forget = (node: RedisServer) =>
      eventually(() => node.cli('CLUSTER', 'FORGET', id), { timeout: SETTLED_WITHIN });
    await Promise.all(this.nodes.map(forget));
    await master.stop();
    return server;
  }

  private async handOver(master: RedisServer, successor: RedisServer): Promise<RedisServer> {
    const role = async (node: RedisServer, of: RedisServer) =>
      (await this.view(node)).find(({ port }) => port === of.port)?.flags.find((flag) => /master|slave/.test(flag));
    const expectSettled = async () => {
      for (const node of await this.running()) {
        expect([await role(node, successor), await role(node, master)]).toEqual(['master', 'slave']);
      }
    };
    await eventually(
      async () => {
        // Redis gives a failover up that takes longer than 5 s, as on a busy machine. A successor that is the master refuses.
        await successor.cli('CLUSTER', 'FAILOVER').catch(() => undefined);
        await eventually(expectSettled, { timeout: 6000 });
      },
      { timeout: SETTLED_WITHIN },
    );
    return successor;
  }

  /**
   * Moves a slot with the keys in it to another master while clients go on, as `redis-cli --cluster reshard` does.
   * `underWay` happens when the keys have been moved, and the slot not yet.
   */
  async moveSlot(slot: number, to: RedisServer, underWay?: () => Promise<unknown>): Promise<void> {
    const from = await this.ownerOfSlot(slot);
    if (from === to) return;
    const [source, target] = await Promise.all([this.idOf(from), this.idOf(to)]);
    await to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source);
    await from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target);
    const login = this.password === undefined ? [] : ['AUTH', this.password];
    for (;;) {
      const keys = (await from.cli('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[];
      if (keys.length === 0) break;
      await from.cli('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, ...login, 'KEYS', ...keys);
    }
    await underWay?.();
    await to.cli('CLUSTER', 'SETSLOT', slot, 'NODE', target);
    await from.cli('CLUSTER', 'SETSLOT', slot, 'NODE', target);
  }

  /** Whatever was killed or frozen is back and in step. */
  async heal(): Promise<void> {
    await Promise.all(
      this.nodes.map(async (node) => {
        node.thaw();
        await node.cli('PING').catch(() => node.restart());
      }),
    );
    await this.settled();
  }

  /** All six run, agree on who is whose replica, and replicate. (After a kill, `ownerOf` waits for what takes over.) */
  async settled(): Promise<void> {
    await eventually(
      async () => {
        const views = await Promise.all(this.nodes.map((node) => this.view(node)));
        // A master that was frozen and replaced takes itself for one until it is told.
        const roles = views.map((known) => known.map(({ id, masterId }) => `${id} of ${masterId}`).toSorted());
        expect(new Set(roles.map(String)).size).toBe(1);
        for (const [i, node] of this.nodes.entries()) {
          expect(await node.cli('CLUSTER', 'INFO')).toContain('cluster_state:ok');
          const known = views[i] ?? [];
          expect(known.filter(({ flags }) => flags.includes('slave'))).toHaveLength(this.nodes.length - MASTERS);
          const sound = known.filter(({ linked, flags }) => linked && !/fail|handshake/.test(flags.join()));
          expect(sound).toHaveLength(this.nodes.length);
          const inStep = /role:master\r\nconnected_slaves:1\r\n.*state=online|master_link_status:up/;
          expect(await node.cli('INFO', 'replication')).toMatch(inStep);
        }
      },
      { timeout: SETTLED_WITHIN, interval: 50 },
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  private async form(firstBusPort: number): Promise<void> {
    const [first, ...others] = this.nodes as [RedisServer, ...RedisServer[]];
    // Epochs of their own, or the nodes would spend their first seconds settling who comes first.
    await Promise.all(this.nodes.map((node, i) => node.cli('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)));
    await Promise.all(others.map((node) => node.cli('CLUSTER', 'MEET', '127.0.0.1', first.port, firstBusPort)));
    const everyoneKnown = `cluster_known_nodes:${this.nodes.length}`;
    await eventually(
      async () => {
        for (const node of this.nodes) expect(await node.cli('CLUSTER', 'INFO')).toContain(everyoneKnown);
      },
      { timeout: SETTLED_WITHIN },
    );
    const masters = this.nodes.slice(0, MASTERS);
    const slots = Array.from({ length: SLOTS }, (_, slot) => slot);
    const share = (i: number) => slots.slice((i * SLOTS) / MASTERS, ((i + 1) * SLOTS) / MASTERS);
    await Promise.all(masters.map((node, i) => node.cli('CLUSTER', 'ADDSLOTS', ...share(i))));
    const ids = await Promise.all(masters.map((node) => this.idOf(node)));
    const replicas = this.nodes.slice(MASTERS);
    await Promise.all(
      replicas.map((node, i) => eventually(() => node.cli('CLUSTER', 'REPLICATE', ids[i] ?? ''), { timeout: 5000 })),
    );
    await this.settled();
  }

  private async view(node: RedisServer): Promise<ClusterNode[]> {
    const lines = ((await node.cli('CLUSTER', 'NODES')) as string).trim().split('\n');
    return lines.map((line) => {
      const [id = '', address = '', flags = '', masterId = '', , , , link] = line.split(' ');
      const port = Number(/:(\d+)@/.exec(address)?.[1]);
      return { id, port, flags: flags.split(','), masterId, linked: link === 'connected' };
    });
  }

  private async idOf(node: RedisServer): Promise<string> {
    return (await node.cli('CLUSTER', 'MYID')) as string;
  }

  /** The node that all who run name by its port: shortly after a change some of them still have it as it was. */
  private async agreed(portOf: (node: RedisServer) => Promise<number | undefined>): Promise<RedisServer> {
    const ports = new Set(await Promise.all((await this.running()).map(portOf)));
    expect(ports.size).toBe(1);
    return this.byPort([...ports][0]);
  }

  private byPort(port: number | undefined): RedisServer {
    const node = this.nodes.find((candidate) => candidate.port === port);
    if (node === undefined) throw new Error(`no node on port ${port}`);
    return node;
  }

  private async running(): Promise<RedisServer[]> {
    const answers = await Promise.allSettled(this.nodes.map((node) => node.cli('PING')));
    return this.nodes.filter((_, i) => answers[i]?.status === 'fulfilled');
  }

  /** Some node that answers. */
  private async live(): Promise<RedisServer> {
    const [node] = await this.running();
    if (node === undefined) throw new Error('no node of the cluster answers');
    return node;
  }
}

interface Node {
  server: RedisServer;
  busPort: number;
}

/** A node that knows of no others. */
export async function startNode({ nodeTimeout = 1000, ...options }: ClusterOptions = {}): Promise<Node> {
  const { version = 7 } = findRedisServer();
  const busPort = await freePort();
  const settings = {
    'cluster-enabled': 'yes',
    ...(version >= 7 && { 'cluster-port': busPort }),
    'cluster-node-timeout': nodeTimeout,
    'cluster-replica-validity-factor': 0, // a replica that fell behind is still better than none
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = await RedisServer.start({ ...options, args });
  // Before 7.0 the port of the bus is given by that of the node.
  return { server, busPort: version >= 7 ? busPort : server.port + 10_000 };
}
