import * as timers from '../../lib/redis-cache.timers.js';
import type { CacheApp } from '../support/cache-app.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

/** By so much the wall clock has got ahead of the monotonic one, which stands still while a machine sleeps. In ms. */
let slept = 0;
/** As Jest has it for ES modules; @types/jest lacks it. */
const jest = import.meta.jest as ImportMeta['jest'] & { unstable_mockModule(path: string, make: () => object): void };
const real = { ...timers };
jest.unstable_mockModule('../../lib/redis-cache.timers.js', () => ({ ...real, wallNow: () => real.wallNow() + slept }));
const { CacheApp: App } = await import('../support/cache-app.js');

describe('A process that was suspended amid a call', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;

  beforeEach(async () => {
    slept = 0;
    server = await RedisServer.start();
    proxy = await TcpProxy.start(server);
    app = await App.start({ url: proxy.url, timeout: '2s', namespace: 'chaos' });
    await app.store.put('session', { userId: 42 });
    proxy.stallReplies();
  });
  afterEach(async () => {
    await app?.close();
    await proxy.stop();
    await server.stop();
  });

  const carriedOut = async (command: string, times = 1) => {
    while (!String(await server.cli('INFO', 'commandstats')).includes(`cmdstat_${command}:calls=${times},`));
  };

  it('reads again in place of believing the reply from before, so that no session comes back that ended meanwhile', async () => {
    const read = app.store.get('session');
    await carriedOut('getrange');
    expect(await server.cli('DEL', 'chaos:session')).toBe(1);
    slept = 60_000;
    await proxy.resume();
    expect(await read).toBeUndefined();
  });

  it('believes no reply from before where the monotonic clock went on, either, as in a paused container', async () => {
    const read = reasonOf(app.store.get('session'));
    await carriedOut('getrange');
    expect(await server.cli('DEL', 'chaos:session')).toBe(1);
    const resumed = proxy.resume();
    const until = performance.now() + 3100;
    while (performance.now() < until); // which makes the process stand still as a SIGSTOP does
    await resumed;
    expect(await read).toMatchObject({ reason: 'timeout', outcome: 'unknown' }); // by then its time is over
    expect(await app.store.get('session')).toBeUndefined();
  });

  it('does not know the outcome of a write', async () => {
    const write = reasonOf(app.store.put('session', { userId: 43 }));
    await carriedOut('set', 2);
    slept = 60_000;
    await proxy.resume();
    expect(await write).toMatchObject({ reason: 'disconnected', outcome: 'unknown' });
  });

  it('takes a short step of the wall clock for none', async () => {
    const read = app.store.get('session');
    await carriedOut('getrange');
    slept = 1000;
    await proxy.resume();
    expect(await read).toEqual({ userId: 42 });
    expect(proxy.accepted).toBe(1);
  });
});
