import { eventually } from './eventually.js';
import { RedisServer } from './redis-server.js';

export interface SentinelOptions {
  /** Silence after which a sentinel takes a server for down. Default 500 ms. */
  downAfter?: number;
  /** Of the data servers; the sentinels themselves ask for none. */
  password?: string;
  appendonly?: boolean;
}

const MASTER_NAME = 'mymaster';
const QUORUM = 2;
const FAILED_OVER_WITHIN = 15_000;
const CONVERGED_WITHIN = 30_000;

/** A master, a replica and three sentinels that watch them (quorum 2). */
export class SentinelDeployment {
  /** Resolves once every sentinel knows the others and sees a healthy master and replica. */
  static async start({ downAfter = 500, ...data }: SentinelOptions = {}): Promise<SentinelDeployment> {
    const started: RedisServer[] = [];
    try {
      const first = await RedisServer.start(data);
      started.push(first);
      const second = await RedisServer.start({ ...data, args: ['--replicaof', '127.0.0.1', String(first.port)] });
      started.push(second);
      // A sentinel looks for replicas when it starts, then only every ten seconds: the replica has to be there first.
      await eventually(async () => expect(await second.cli('ROLE')).toContain('connected'), { timeout: 10_000 });

      const config = [
        `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${first.port} ${QUORUM}`,
        `sentinel down-after-milliseconds ${MASTER_NAME} ${downAfter}`,
        `sentinel failover-timeout ${MASTER_NAME} 2000`,
        ...(data.password === undefined ? [] : [`sentinel auth-pass ${MASTER_NAME} ${data.password}`]),
        '',
      ].join('\n');
      const sentinels = await Promise.all([1, 2, 3].map(() => RedisServer.start({ config, args: ['--sentinel'] })));
      started.push(...sentinels);
      const deployment = new SentinelDeployment([first, second], sentinels, data.password);
      await deployment.converged();
      return deployment;
    } catch (error) {
      await Promise.all(started.map((server) => server.stop()));
      throw error;
    }
  }

  readonly masterName = MASTER_NAME;

  private constructor(
    /** The two data servers, whatever part each plays now. */
    readonly servers: readonly RedisServer[],
    readonly sentinels: readonly RedisServer[],
    private readonly password: string | undefined,
  ) {}

  get url(): string {
    const login = this.password === undefined ? '' : `:${encodeURIComponent(this.password)}@`;
    return `redis-sentinel://${login}${this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${MASTER_NAME}`;
  }

  /** The server that all sentinels name and that plays the part itself; waits for a failover under way to end. */
  async master(): Promise<RedisServer> {
    return eventually(() => this.agreedMaster(), { timeout: FAILED_OVER_WITHIN });
  }

  async replica(): Promise<RedisServer> {
    const master = await this.master();
    return required(this.servers.find((server) => server !== master));
  }

  /** A failover by hand, the old master alive: it goes on accepting writes for a while. Answers the new master. */
  async failover(): Promise<RedisServer> {
    const old = await this.master();
    // A sentinel refuses while it thinks that it has no good replica, or that a failover is under way.
    await eventually(() => this.sentinel().cli('SENTINEL', 'FAILOVER', MASTER_NAME), { timeout: FAILED_OVER_WITHIN });
    return this.masterOtherThan(old);
  }

  /** Waits until the sentinels have replaced a master that was killed or frozen. */
  async masterOtherThan(old: RedisServer): Promise<RedisServer> {
    return eventually(
      async () => {
        const master = await this.agreedMaster();
        expect(master).not.toBe(old);
        return master;
      },
      { timeout: FAILED_OVER_WITHIN },
    );
  }

  /**
   * All five are up, know each other and agree. A master that returns is made a replica no sooner than 8 s later: until
   * then it takes itself for the master.
   */
  async converged(): Promise<void> {
    await eventually(
      async () => {
        const master = await this.agreedMaster();
        const replica = this.servers.find((server) => server !== master);
        expect(await replica?.cli('ROLE')).toContain('connected');
        for (const sentinel of this.sentinels) {
          const seen = toRecord(await sentinel.cli('SENTINEL', 'MASTER', MASTER_NAME));
          expect(seen).toMatchObject({ flags: 'master', 'num-other-sentinels': '2', 'num-slaves': '1' });
        }
      },
      { timeout: CONVERGED_WITHIN, interval: 50 },
    );
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()));
  }

  private async agreedMaster(): Promise<RedisServer> {
    const named = await Promise.all(
      this.sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)),
    );
    const ports = new Set(named.map((address) => Number((address as string[])[1])));
    expect(ports.size).toBe(1);
    const master = required(this.servers.find(({ port }) => ports.has(port)));
    expect(await master.cli('ROLE')).toContain('master');
    return master;
  }

  private sentinel(): RedisServer {
    return required(this.sentinels[0]);
  }
}

/** Names and values in turn, as Redis lists them. */
function toRecord(reply: unknown): Record<string, string> {
  const flat = reply as string[];
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('no such server');
  return value;
}
