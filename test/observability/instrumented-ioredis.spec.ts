import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { RedisCacheStore } from 'nestjs-redis-cache-store';
import { everyCall, PASSWORD } from '../support/canaries.js';
import { ClusterDeployment } from '../support/cluster.js';
import { RedisServer } from '../support/redis-server.js';
import { SentinelDeployment } from '../support/sentinel.js';
import { ROOT } from '../support/sources.js';
import type { Kind } from '../support/traced-calls.js';
import { WorkerProcess } from '../support/worker-process.js';

type Traced = typeof import('../support/traced-calls.js');

const HOOK = pathToFileURL(join(ROOT, 'test', 'support', 'traced-imports.mjs')).href;
const hooks: [name: string, worker: string, env: NodeJS.ProcessEnv][] = [
  ['the loader hook of ES modules', 'traced-esm.worker', { NODE_OPTIONS: `--import ${HOOK}` }],
  ['the hook of require', 'traced-commonjs.worker', {}],
];
const kinds: [name: string, kind: Kind][] = [
  ['a plain store', {}],
  ['a sliding store with a near cache', { nearCache: true, sliding: true, ttl: '1h' }],
  ['an encrypted store with hashed keys', { encrypted: true, hashKeys: true }],
];

it('the canaries pass through every method of the store', () => {
  const methods = Object.getOwnPropertyNames(RedisCacheStore.prototype).filter((name) => name !== 'constructor');
  const called = new Set(everyCall(new Proxy({}, {}) as RedisCacheStore).map(([name]) => name.split(' ', 1)[0]));
  // Only a store with a near cache can watch; traced-calls.ts does so.
  expect(methods.filter((name) => !called.has(name))).toEqual(['watch']);
});

// The instrumentation knows ioredis by the name of its package, which another version beside it does not have.
const underItsName = process.env['IOREDIS'] === undefined ? describe : describe.skip;

underItsName('instrumentation of ioredis', () => {
  let server: RedisServer;
  let sentinel: SentinelDeployment;
  let cluster: ClusterDeployment;
  let workers: WorkerProcess<Traced>[] = [];
  const worker = (script: string) => workers[hooks.findIndex(([, each]) => each === script)] as WorkerProcess<Traced>;
  // All at once: each takes seconds, mostly of waiting.
  beforeAll(async () => {
    const starting = hooks.map(([, script, env]) => WorkerProcess.start<Traced>(script, env));
    [server, sentinel, cluster, ...workers] = await Promise.all([
      RedisServer.start({ password: PASSWORD }),
      SentinelDeployment.start({ password: PASSWORD }),
      ClusterDeployment.start({ nodeTimeout: 10_000 }),
      ...starting,
    ]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all(workers.map((each) => each.kill()));
    await Promise.all([server, sentinel, cluster].map((each) => each?.stop()));
  }, 20_000);

  describe.each(hooks)('by %s shows no key, value, tag, token or password', (_, script) => {
    it('while it shows those of an application that uses ioredis by itself', async () => {
      const { commands, leaks } = await worker(script).run('leak', server.url);
      expect(commands).toEqual(expect.arrayContaining(['set', 'get', 'del', 'request']));
      expect(leaks.join()).toContain('canary-of-key');
      expect(leaks.join()).toContain('canary-of-value');
    });

    it.each(kinds)('of %s', async (_name, kind) => {
      const { commands, leaks } = await worker(script).run('everyMethod', { ...kind, url: server.url });
      expect(commands).toEqual(expect.arrayContaining(['evalsha', 'request', 'set']));
      expect(leaks).toEqual([]);
    });

    it.each(kinds)('of any method of the services of /auth and of the adapters on %s', async (_name, kind) => {
      const { commands, leaks, forgotten } = await worker(script).run('everyService', { ...kind, url: server.url });
      expect(commands).toEqual(expect.arrayContaining(['evalsha', 'request']));
      expect(leaks).toEqual([]);
      expect(forgotten).toEqual([]);
    });

    it('of a login that is renewed on a live connection', async () => {
      const { commands, leaks } = await worker(script).run('renewedLogin', server.url);
      expect(commands.filter((name) => name === 'auth').length).toBeGreaterThanOrEqual(2);
      expect(leaks).toEqual([]);
    }, 40_000);

    it('of a store behind Sentinel', async () => {
      const { commands, leaks } = await worker(script).run('everyMethod', { url: sentinel.url });
      expect(commands).toEqual(expect.arrayContaining(['sentinel', 'evalsha']));
      expect(leaks).toEqual([]);
    }, 60_000);

    it('of a store on a Cluster, with all services', async () => {
      const kind = { url: cluster.url };
      const seen = [await worker(script).run('everyMethod', kind), await worker(script).run('everyService', kind)];
      expect(seen.flatMap(({ commands }) => commands)).toEqual(expect.arrayContaining(['cluster', 'evalsha']));
      expect(seen.flatMap(({ leaks }) => leaks)).toEqual([]);
    }, 60_000);
  });
});
