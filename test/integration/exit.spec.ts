import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../scripts/processes.mjs';
import { RedisServer } from '../support/redis-server.js';

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));

interface Report {
  outcome: unknown;
  left: unknown;
}

const NOTHING = { resources: [], timers: 0, listeners: [] };

describe('after its end an application', () => {
  let server: RedisServer;
  beforeAll(async () => (server = await RedisServer.start()));
  afterAll(() => server?.stop());

  /** Runs a scenario of lifecycle-process.ts; resolves when the process has exited, which it has to do by itself. */
  async function run(scenario: string, url: string): Promise<Report> {
    const child = spawn(
      process.execPath,
      ['--import', support('typescript-loader.mjs'), support('lifecycle-process.ts'), scenario, url],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } },
    );
    const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
    const impatience = setTimeout(() => child.kill('SIGKILL'), 15_000);
    let last = '';
    for await (const line of createInterface(child.stdout)) {
      last = line;
      if (line !== 'freeze') continue;
      server.freeze();
      child.stdin.write('frozen\n');
    }
    const [code, signal] = await exited;
    clearTimeout(impatience);
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    return JSON.parse(last) as Report;
  }

  const scenarios: [string, string, unknown][] = [
    ['that was used', 'used', 'value'],
    ['that was given several bad records at once', 'badRecords', 'CacheArgumentError'],
    ['that was closed twice', 'closedTwice', 'closed'],
    ['that was compiled and never initialized', 'neverInitialized', 'compiled'],
    ['whose boot Redis refused', 'refused', 'CacheConfigError'],
    ['whose client is its own, which is still connected,', 'ownClient', { reply: 'PONG', listenersAsBefore: true }],
  ];

  it.each(scenarios)('%s leaves neither socket nor timer nor listener', async (_, scenario, outcome) => {
    const report = await run(scenario, server.url);
    expect(report.outcome).toEqual(outcome);
    expect(report.left).toEqual(NOTHING);
    expect(await othersOn(server)).toBe(0);
  });

  it('that found no Redis within startupTimeout leaves nothing, though nobody calls close()', async () => {
    const report = await run('absent', `redis://127.0.0.1:${await freePort()}`);
    expect(report.outcome).toBe('CacheUnavailableError');
    expect(report.left).toEqual(NOTHING);
  });

  it('that was closed while it waited for Redis, a handshake or credentials leaves nothing, and told those who called', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const schemes = ['redis', 'rediss', 'rediss-cluster', 'rediss-sentinel'];
    const urls = schemes.map((scheme) => `${scheme}://127.0.0.1:${port}${scheme.endsWith('sentinel') ? '/main' : ''}`);
    const report = await run('waiting', [`redis://127.0.0.1:${await freePort()}`, ...urls].join(' '));
    silent.close();
    expect(report.outcome).toEqual(Array.from({ length: 6 }, () => 'closed'));
    expect(report.left).toEqual(NOTHING);
  });

  it('whose Redis was frozen leaves nothing, within its timeout, and told those who called', async () => {
    try {
      const report = await run('frozen', server.url);
      expect(report.outcome).toBe('unknown');
      expect(report.left).toEqual(NOTHING);
    } finally {
      server.thaw();
    }
  });
});

/** How many connections there are but the one that asks. */
async function othersOn(server: RedisServer): Promise<number> {
  const list = String(await server.cli('CLIENT', 'LIST', 'TYPE', 'NORMAL'));
  return list.trim().split('\n').length - 1;
}
