import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../scripts/processes.mjs';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 500;
/** For the rest of the way out of a process on a busy machine, in ms. */
const PATIENCE = 2000;

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));

describe('Promise 6: SIGTERM ends an application', () => {
  let server: RedisServer;
  let child: ChildProcess | undefined;
  beforeEach(async () => (server = await RedisServer.start()));
  afterEach(async () => {
    child?.kill('SIGKILL');
    await server.stop();
  });

  /** An application under load; `complaints`: what it has written to its standard error. */
  async function start(url: string): Promise<{ app: ChildProcess; complaints: string[] }> {
    const app = spawn(
      process.execPath,
      ['--import', support('typescript-loader.mjs'), support('busy-process.ts'), url, String(TIMEOUT)],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } },
    );
    child = app;
    const complaints: string[] = [];
    app.stderr.on('data', (data: Buffer) => complaints.push(String(data)));
    await once(app.stdout, 'data');
    await delay(200); // of work
    return { app, complaints };
  }

  async function expectCleanEnd({ app, complaints }: Awaited<ReturnType<typeof start>>): Promise<void> {
    const exited = once(app, 'exit');
    const begun = performance.now();
    app.kill('SIGTERM');
    // Nest runs its hooks, then sends itself the signal again.
    expect(await exited).toEqual([null, 'SIGTERM']);
    expect(performance.now() - begun).toBeLessThan(TIMEOUT + PATIENCE);
    expect(complaints).toEqual([]);
  }

  it('whose Redis is up', async () => {
    await expectCleanEnd(await start(server.url));
    expect(await server.cli('DBSIZE')).toBe(10);
  });

  it('whose Redis has never been there', async () => {
    await expectCleanEnd(await start(`redis://127.0.0.1:${await freePort()}`));
  });

  it('whose Redis has died', async () => {
    const running = await start(server.url);
    await server.kill9();
    await delay(2 * TIMEOUT);
    await expectCleanEnd(running);
  });

  it('whose Redis is frozen', async () => {
    const running = await start(server.url);
    server.freeze();
    await delay(TIMEOUT / 2);
    await expectCleanEnd(running);
  });
});
