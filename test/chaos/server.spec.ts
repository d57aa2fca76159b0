import { setTimeout as delay } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { endure } from '../support/endure.js';
import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { expectPromisesKept } from '../support/load.js';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 500;
/** How long a fault lasts, in ms. */
const LASTING = LONG ? 6000 : 1200;
/** One backoff step at its longest, and a connection attempt that had just begun, in ms. */
const RECOVERY = 2000 + 1000;

describe('Promises 1, 3 and 4: no call hangs, no acknowledged write is lost, all recovers by itself, when Redis', () => {
  let server: RedisServer;
  let apps: CacheApp[] = [];

  beforeEach(async () => {
    server = await RedisServer.start({
      appendonly: true,
      args: ['--key-load-delay', '200', '--rdbcompression', 'no'],
    });
    const start = () => CacheApp.start({ url: server.url, timeout: TIMEOUT, namespace: 'chaos' });
    apps = [await start(), await start()];
  });
  afterEach(async () => {
    server.thaw();
    await Promise.all(apps.map((app) => app.close()));
    await server.stop();
  });

  /** Runs a fault under load; `heal` ends it. */
  async function expectSurvived(name: string, fault: () => unknown, heal: () => unknown, lasting = LASTING) {
    const report = await endure(name, apps, async () => {
      await fault();
      await delay(lasting);
      await heal();
    });
    expectPromisesKept(report, TIMEOUT);
    return report;
  }

  /** How often the server has refused a command with this code. */
  const refusals = async (code: string) =>
    Number(new RegExp(`_${code}:count=(\\d+)`).exec(String(await server.cli('INFO', 'errorstats')))?.[1] ?? 0);

  it('is killed and restarted', async () => {
    const report = await expectSurvived(
      'killed (kill -9), restarted',
      () => server.kill9(),
      () => server.restart(),
    );
    expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    expect(report.recovery).toBeLessThan(RECOVERY);
  });

  it('is frozen', async () => {
    // The workers of the load may all be reading at that moment.
    let write: Promise<void> | undefined;
    const report = await expectSurvived(
      'frozen (SIGSTOP)',
      () => {
        server.freeze();
        write = apps[0]?.store.put('sent before anybody noticed', 1);
        write?.catch(() => undefined);
      },
      () => server.thaw(),
    );
    await expect(write).rejects.toMatchObject({ name: 'CacheUnavailableError', outcome: 'unknown' });
    expect(report.recovery).toBeLessThan(RECOVERY);
  });

  it('kills its clients again and again', async () => {
    const kill = async () => {
      for (let i = 0; i < 20; i++) {
        await server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await delay(20);
      }
    };
    const report = await expectSurvived('CLIENT KILL, 20 times', kill, () => undefined, 0);
    expect(report.recovery).toBeLessThan(RECOVERY);
  });

  it('pauses its clients', async () => {
    const pause = () => server.cli('CLIENT', 'PAUSE', String(LASTING), 'ALL');
    const report = await expectSurvived('CLIENT PAUSE', pause, () => undefined);
    expect(report.recovery).toBeLessThan(RECOVERY);
  });

  it('has as many clients as it may have', async () => {
    await expectSurvived(
      'maxclients',
      async () => {
        await server.cli('CONFIG', 'SET', 'maxclients', '1');
        await server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      },
      () => server.cli('CONFIG', 'SET', 'maxclients', '1000'),
    );
  });

  it('loads its data (LOADING)', async () => {
    // While it loads, Redis answers after each 2 MB.
    await server.cli('DEBUG', 'POPULATE', String(LONG ? 20_000 : 5000), 'other', '4000');
    await server.cli('BGREWRITEAOF'); // keys of DEBUG stand in no log
    await eventually(async () => {
      const info = String(await server.cli('INFO', 'persistence'));
      expect(info).toMatch(/aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/);
    });
    const report = await expectSurvived(
      'loading after a restart',
      () => server.kill9(),
      () => server.restart(),
      200,
    );
    expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    expect(await refusals('LOADING')).toBeGreaterThan(0);
  });

  it('is busy with a script (BUSY), and is asked more and more rarely meanwhile', async () => {
    await server.cli('CONFIG', 'SET', 'lua-time-limit', '10');
    const author = server.client();
    const report = await expectSurvived(
      'busy with a script (BUSY)',
      () => void author.eval('while true do end', 0).catch(() => undefined),
      () => server.cli('SCRIPT', 'KILL'),
    );
    author.disconnect();
    expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    // Four or five for each call that fails, half of which are reads: the pauses double. Without pauses there would be a hundred.
    expect(await refusals('BUSY')).toBeLessThan(20 * report.outcomes['not-sent']);
    expect(report.recovery).toBeLessThan(RECOVERY);
  });

  it('becomes a replica and a master again (READONLY)', async () => {
    const master = await RedisServer.start();
    try {
      const report = await expectSurvived(
        'READONLY',
        async () => {
          await server.cli('CONFIG', 'SET', 'replica-serve-stale-data', 'yes');
          // Of a master that does not accept it, so that its data stay.
          await server.cli('CONFIG', 'SET', 'masterauth', 'wrong');
          await server.cli('REPLICAOF', '127.0.0.1', String(master.port));
          master.freeze();
        },
        () => server.cli('REPLICAOF', 'NO', 'ONE'),
        500,
      );
      expect(report.outcomes.refused).toBeGreaterThan(0);
    } finally {
      master.thaw();
      await master.stop();
    }
  });
});
