import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { freePort } from '../../scripts/processes.mjs';
import { Test } from '@nestjs/testing';
import {
  RedisCacheModule,
  type RedisCacheModuleOptions,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';
import { SILENT } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';

/** Starts an application, and gives what it warned of. */
async function warningsOf(options: RedisCacheModuleOptions, server: RedisServer): Promise<string[]> {
  const warnings: string[] = [];
  const logger = { ...SILENT, warn: (message: string) => void warnings.push(message) };
  const before = await infoCalls(server);
  const module = await Test.createTestingModule({
    imports: [RedisCacheModule.forRoot({ url: server.url, ttl: null, ...options })],
  })
    .setLogger(logger)
    .compile();
  try {
    await module.init();
    // INFO was asked for (or refused); what is asked after it is on the same connection as the PINGs, in order.
    await eventually(async () => expect(await infoCalls(server)).toBeGreaterThan(before + 1));
    for (let i = 0; i < 3; i++) await module.get(RedisConnection).ping();
  } finally {
    await module.close();
  }
  return warnings;
}

/** How often INFO was called or refused; asking adds one. */
async function infoCalls(server: RedisServer): Promise<number> {
  const stats = String(await server.cli('INFO', 'commandstats'));
  const [, calls = '0', rejected = '0'] = /cmdstat_info:calls=(\d+),.*?rejected_calls=(\d+)/.exec(stats) ?? [];
  return Number(calls) + Number(rejected);
}

describe('At boot the module warns', () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start({ appendonly: true });
  });
  afterEach(() => server.stop());

  it('of nothing, if there is nothing to warn of', async () => {
    expect(await warningsOf({}, server)).toEqual([]);
  });

  it.each(['allkeys-lru', 'allkeys-random', 'volatile-lru', 'volatile-lfu', 'volatile-ttl'])(
    'of the eviction policy %s and what it does to tags',
    async (policy) => {
      await server.cli('CONFIG', 'SET', 'maxmemory-policy', policy);
      const [warning, ...others] = await warningsOf({}, server);
      expect(warning).toContain(policy);
      expect(warning).toContain('which deleteByTag then misses');
      expect(others).toEqual([]);
    },
  );

  it('of missing persistence, but only where records never expire', async () => {
    await server.cli('CONFIG', 'SET', 'appendonly', 'no');
    await server.cli('CONFIG', 'SET', 'save', '');
    expect(await warningsOf({ ttl: '30m' }, server)).toEqual([]);
    expect(await warningsOf({}, server)).toEqual([expect.stringContaining('no persistence')]);
    await server.cli('CONFIG', 'SET', 'save', '3600 1');
    expect(await warningsOf({}, server)).toEqual([]);
  });

  it('of an expiry that frees a whole index at once', async () => {
    await server.cli('CONFIG', 'SET', 'lazyfree-lazy-expire', 'no');
    expect(await warningsOf({ ttl: '30m' }, server)).toEqual([expect.stringContaining('lazyfree-lazy-expire')]);
  });

  it('of a replica as target', async () => {
    const master = await RedisServer.start();
    try {
      await server.cli('REPLICAOF', '127.0.0.1', String(master.port));
      await eventually(async () => expect(String(await server.cli('INFO', 'replication'))).toContain('link_status:up'));
      expect(await warningsOf({}, server)).toEqual([expect.stringContaining('replica')]);
    } finally {
      await master.stop();
    }
  });

  it('of nothing where a managed Redis refuses INFO and CONFIG', async () => {
    await server.cli('CONFIG', 'SET', 'save', '');
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info', '-config');
    expect(await warningsOf({ redis: { username: 'app', password: 'secret' } }, server)).toEqual([]);
  });

  it.each(['INFO', 'CONFIG'])(
    'of nothing but the lost connection where the server ends it on %s, which is asked once',
    async (command) => {
      await server.cli('CONFIG', 'SET', 'appendonly', 'no');
      await server.cli('CONFIG', 'SET', 'save', '');
      const front = await EndingServer.start(server, command);
      try {
        const warnings: string[] = [];
        const logger = { ...SILENT, warn: (message: string) => void warnings.push(message) };
        const imports = [RedisCacheModule.forRoot({ url: front.url, ttl: null, timeout: '5s' })];
        const module = await Test.createTestingModule({ imports }).setLogger(logger).compile();
        try {
          await module.init();
          await eventually(() => expect(front.asked).toBe(1));
          await eventually(() => module.get(RedisConnection).ping());
          await module.get(RedisCacheStore).put('key', 1);
          expect(await module.get(RedisCacheStore).get('key')).toBe(1);
        } finally {
          await module.close();
        }
        expect(front.asked).toBe(1);
        expect(warnings).toEqual([expect.stringMatching(/^Redis is down: .*Connection is closed/)]);
      } finally {
        await front.stop();
      }
    },
  );

  it('of a node of a Cluster that is taken for a single server', async () => {
    const node = await RedisServer.start({ appendonly: true, args: ['--cluster-enabled', 'yes'] });
    try {
      expect(await warningsOf({}, node)).toContainEqual(expect.stringContaining('use redis-cluster:// in the url'));
    } finally {
      await node.stop();
    }
  });

  it('of a sentinel that is taken for a server with data', async () => {
    const config = `sentinel monitor main 127.0.0.1 ${server.port} 1\n`;
    const sentinel = await RedisServer.start({ config, args: ['--sentinel'] });
    const warnings: string[] = [];
    const logger = { ...SILENT, warn: (message: string) => void warnings.push(message) };
    const imports = [RedisCacheModule.forRoot({ url: sentinel.url, ttl: '30m' })];
    const module = await Test.createTestingModule({ imports }).setLogger(logger).compile();
    try {
      await module.init();
      // A sentinel does not count commands.
      await eventually(() =>
        expect(warnings).toEqual([expect.stringMatching(/^the server is a sentinel: .*use redis-sentinel:\/\//)]),
      );
    } finally {
      await module.close();
      await sentinel.stop();
    }
  });
});

/** Stands before a server and ends each connection that a certain command comes over, as some managed servers do. */
class EndingServer {
  static async start(target: RedisServer, command: string): Promise<EndingServer> {
    const front = new EndingServer(await freePort());
    const word = `\r\n${command}\r\n`;
    front.server = createServer((client) => {
      const server = connect(target.port, '127.0.0.1').on('error', () => client.destroy());
      server.on('close', () => client.destroy()).pipe(client);
      client.on('error', () => undefined).on('close', () => server.destroy());
      client.on('data', (bytes) => {
        if (!bytes.toString('latin1').toUpperCase().includes(word)) return server.write(bytes);
        front.asked++;
        return client.destroy();
      });
    }).listen(front.port, '127.0.0.1');
    await once(front.server, 'listening');
    return front;
  }

  /** How often the command came. */
  asked = 0;
  private server: Server | undefined;

  private constructor(private readonly port: number) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    const ended = this.server && once(this.server, 'close');
    this.server?.close();
    await ended;
  }
}
