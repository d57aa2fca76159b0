import { ModulesContainer } from '@nestjs/core';
import type { Redis } from 'ioredis';
import { type RedisCacheModuleOptions, RedisCacheStore, RedisConnection } from 'nestjs-redis-cache-store';
import { PendingCommand, type RedisCommand } from '../../lib/ioredis/command.js';
import { encodeHead } from '../../lib/record/layout.js';
import { UNTAGGED } from '../support/arbitraries.js';
import {
  everyCall,
  expectSecret,
  failuresOf,
  KEY,
  MASTER_KEY,
  PASSWORD,
  sightings,
  TAG,
  VALUE,
} from '../support/canaries.js';
import { ClusterDeployment } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';
import { WatchedApps } from '../support/watched-apps.js';

const RENAMED = ['GET', 'GETRANGE', 'MGET', 'SET', 'GETDEL', 'EVALSHA', 'EVAL', 'DEL', 'PTTL', 'SCAN', 'ZRANGE'];
const kinds: [string, Partial<RedisCacheModuleOptions>][] = [
  ['a plain store', {}],
  ['an encrypted store with hashed keys', { encryption: { keys: [MASTER_KEY] }, hashKeys: true }],
  ['a store with a near cache', { nearCache: true }],
];

describe('no log, trace, error or object shows a value, a key, a tag or a password', () => {
  let apps: WatchedApps;
  let server: RedisServer;
  let raw: Redis;

  beforeAll(async () => {
    server = await RedisServer.start({ password: PASSWORD });
    raw = server.client();
  });
  beforeEach(() => (apps = new WatchedApps({ url: server.url })));
  afterEach(async () => {
    await ask('config', 'SET', 'maxmemory', '0');
    await ask('flushall');
    await apps.end();
  });
  afterAll(() => server?.stop());

  /** Asks Redis without leaving a trace of it. */
  const askOf = async (client: Redis, ...words: RedisCommand): Promise<unknown> => {
    const command = new PendingCommand(words);
    await client.sendCommand(command);
    return command.promise;
  };
  const ask = (...words: RedisCommand) => askOf(raw, ...words);

  const open = (options: RedisCacheModuleOptions) => apps.open(options);

  /** What each record becomes that Redis holds. */
  async function replaceAll(by: (key: Buffer, bytes: Buffer) => Promise<unknown>): Promise<void> {
    for (const key of (await ask('keys', '*')) as Buffer[]) {
      if (String(await ask('type', key)) === 'string') await by(key, (await ask('get', key)) as Buffer);
    }
  }

  it('and the detector sees what it is to see', async () => {
    console.log({ nested: { key: KEY } });
    apps.witness.logger.warn(new Error('outer', { cause: { bytes: Buffer.from(`..${VALUE}..`) } }));
    await raw.get(KEY);
    await raw.eval('return 1', 1, TAG, MASTER_KEY.toString('hex'));
    const places = apps.witness.seen.filter(([, what]) => sightings(what).length > 0).map(([where]) => where);
    expect(new Set(places)).toEqual(
      new Set([
        'console.log',
        'logger.warn',
        'ioredis:command:start',
        'ioredis:command:end',
        'ioredis:command:asyncStart',
        'ioredis:command:asyncEnd',
      ]),
    );
    for (const form of [
      MASTER_KEY,
      [...MASTER_KEY],
      MASTER_KEY.toString('base64'),
      `x${MASTER_KEY.toString('base64url')}`,
    ]) {
      expect(() => expectSecret({ form })).toThrow();
    }
    expect(() => expectSecret(Object.defineProperty(new Error('x'), 'hidden', { value: PASSWORD }))).toThrow();
    apps.witness.seen.length = 0;
  });

  describe.each(kinds)('of %s', (_, kind) => {
    it('when all goes well', async () => {
      const module = await apps.boot(kind);
      for (const [, call] of everyCall(module.get(RedisCacheStore))) await call();
      expect(apps.witness.seen.map(([where]) => where)).toContain('logger.log'); // Redis is ready
    });

    it('when Redis has no memory left (OOM)', async () => {
      const store = await open(kind);
      await store.put(KEY, VALUE, { tags: [TAG] });
      await ask('config', 'SET', 'maxmemory', '1');
      const errors = await failuresOf(store);
      expect(errors).toContainEqual(expect.objectContaining({ reply: 'OOM' }));
      expect(errors.length).toBeGreaterThan(5);
    });

    it('when there is something of another type (WRONGTYPE)', async () => {
      const store = await open(kind);
      await store.put(KEY, VALUE, { tags: [TAG] });
      await replaceAll(async (key) => [await ask('del', key), await ask('rpush', key, VALUE)]);
      expect(await failuresOf(store)).toContainEqual(expect.objectContaining({ reply: 'WRONGTYPE' }));
    });

    it('when a script fails half-way (WRONGTYPE of an index)', async () => {
      const store = await open(kind);
      await store.put(KEY, VALUE, { tags: [TAG] });
      for (const name of (await ask('keys', '*#*')) as Buffer[]) await ask('set', name, VALUE);
      expect(await failuresOf(store)).toContainEqual(
        expect.objectContaining({ reply: 'WRONGTYPE', message: expect.stringContaining('script') as string }),
      );
    });

    const damages: [string, (bytes: Buffer) => Uint8Array | string][] = [
      ['foreign', () => JSON.stringify({ [KEY]: VALUE })],
      ['truncated', (bytes) => bytes.subarray(0, -3)],
      ['altered', (bytes) => bytes.fill(0xc1, bytes.length >> 1)],
      ['no value', () => Buffer.concat([encodeHead(UNTAGGED, false), Buffer.from(VALUE)])],
    ];
    it.each(damages)('when records are %s', async (__, damage) => {
      const [store, lenient] = [await open(kind), await open({ ...kind, onCorrupt: 'miss' })];
      const damageAll = () => replaceAll((key, bytes) => ask('set', key, Buffer.from(damage(bytes))));
      await store.put(KEY, { [KEY]: VALUE }, { tags: [TAG] });
      await damageAll();
      expect(await failuresOf(store)).toContainEqual(expect.objectContaining({ code: 'CACHE_CORRUPT' }));
      await store.put(KEY, { [KEY]: VALUE }, { tags: [TAG] });
      await damageAll();
      expect(await failuresOf(lenient)).toEqual([]);
      expect(apps.witness.seen.map(([where]) => where)).toContain('logger.warn');
    });

    it('when the user may do nothing, or not what scripts do (NOPERM)', async () => {
      const [user, allowed] = ['poor', ['on', `>${PASSWORD}`, '~*', '&*', '+ping', '+client', '+subscribe']];
      await ask('acl', 'SETUSER', user, 'reset', ...allowed, '+@all');
      const login = `${user}:${encodeURIComponent(PASSWORD)}@`;
      const store = await open({ ...kind, url: server.url.replace(/:[^/]*@/, login) });
      await ask('acl', 'SETUSER', user, '-@all', ...allowed.slice(4), '+get', '+getrange', '+evalsha', '+eval');
      await replaceAll((key) => ask('del', key));
      const errors = await failuresOf(store);
      expect(errors).toContainEqual(expect.objectContaining({ reply: 'NOPERM' }));
      await ask('acl', 'SETUSER', user, 'resetkeys');
      expect(await failuresOf(store)).toContainEqual(expect.objectContaining({ reply: 'NOPERM' }));
      await ask('acl', 'DELUSER', user);
    });

    it('when Redis stops answering (timeout), and after that', async () => {
      const module = await apps.boot({ ...kind, timeout: 400 });
      const [store, connection] = [module.get(RedisCacheStore), module.get(RedisConnection)];
      await eventually(() => store.put(KEY, VALUE, { tags: [TAG] }));
      // Nothing older is on its way, whose timeout would end the connection first.
      await eventually(() => connection.ping());
      server.freeze();
      try {
        const errors = await failuresOf(store);
        expect(errors).toContainEqual(expect.objectContaining({ reason: 'timeout' }));
        expectSecret(connection);
        expectSecret(store);
      } finally {
        server.thaw();
      }
    });

    it('when Redis is gone (disconnected), and when the application has closed (closed)', async () => {
      const mortal = await RedisServer.start({ password: PASSWORD });
      try {
        const module = await apps.boot({ ...kind, url: mortal.url, timeout: 400 });
        const [store, connection] = [module.get(RedisCacheStore), module.get(RedisConnection)];
        await mortal.stop();
        await eventually(() => expect(connection.status).toBe('down'));
        expect(await failuresOf(store)).toContainEqual(expect.objectContaining({ reason: 'disconnected' }));
        expect(connection.lastError).toBeDefined();
        expectSecret(connection.lastError);
        expectSecret(connection);
        await module.close();
        expect(await failuresOf(store)).toContainEqual(expect.objectContaining({ reason: 'closed' }));
        expectSecret(connection);
      } finally {
        await mortal.stop();
      }
    });

    it('when connections are cut while calls are under way', async () => {
      const store = await open({ ...kind, timeout: 1000 });
      await store.put(KEY, VALUE, { tags: [TAG] });
      await ask('client', 'PAUSE', '30000', 'WRITE');
      const failing = failuresOf(store);
      const done = failing.then(() => true);
      do await ask('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      while (!(await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 100))])));
      await ask('client', 'UNPAUSE');
      expect(await failing).toContainEqual(expect.objectContaining({ outcome: 'unknown' }));
    });

    it('when Redis does not know the commands, which it then repeats with their arguments', async () => {
      const poor = await RedisServer.start({
        password: PASSWORD,
        args: RENAMED.flatMap((command) => ['--rename-command', command, `${command}-2`]),
      });
      try {
        const store = await open({ ...kind, url: poor.url });
        const errors = await failuresOf(store);
        expect(errors).toContainEqual(
          expect.objectContaining({
            reply: 'ERR',
            message: expect.stringMatching(/unknown command ['`]set['`]/i) as string,
          }),
        );
        expect(errors.length).toBeGreaterThan(15);
      } finally {
        await poor.stop();
      }
    });

    it('when the password is changed while we are connected', async () => {
      const guarded = await RedisServer.start({ password: PASSWORD });
      try {
        const module = await apps.boot({ ...kind, url: guarded.url, timeout: 400 });
        const connection = module.get(RedisConnection);
        const admin = guarded.client();
        await askOf(admin, 'config', 'SET', 'requirepass', `${PASSWORD}-changed`);
        await askOf(admin, 'client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await eventually(() => expect(connection.lastError?.message).toContain('WRONGPASS'));
        expectSecret(connection.lastError);
        expectSecret(connection);
        expect(await failuresOf(module.get(RedisCacheStore))).not.toEqual([]);
      } finally {
        await guarded.stop();
      }
    });

    it('in anything that can be reached from the store, the connection and the modules', async () => {
      const options = { ...kind, url: server.url };
      const module = await apps.boot(options, { namespace: 'feature' });
      const store = module.get(RedisCacheStore);
      await store.put(KEY, VALUE, { tags: [TAG] });
      await store.get(KEY);
      const pending = [store.get(KEY), store.put(KEY, VALUE), store.getOrPut(`${KEY}2`, () => VALUE)];
      const instances = Array.from(module.get(ModulesContainer).values())
        .filter(({ name }) => name.startsWith('RedisCache'))
        .flatMap(({ providers }) => Array.from(providers.values(), ({ instance }) => instance as object | undefined));
      // The rest is Nest's own, and the options, an object of the application's.
      const ours = instances.filter((instance) => instance?.constructor?.name.startsWith('Redis'));
      expect(new Set(ours.map((instance) => instance?.constructor.name))).toEqual(
        new Set([
          'RedisCacheModule',
          'RedisCacheCoreModule',
          'RedisCacheRuntime',
          'RedisConnection',
          'RedisCacheStore',
        ]),
      );
      for (const instance of ours) expectSecret(instance);
      await Promise.all(pending);
    });
  });

  it('of commands on a Cluster', async () => {
    const cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 });
    try {
      const store = await open({ url: cluster.url });
      expect(await failuresOf(store)).toEqual([]);
    } finally {
      await apps.close();
      await cluster.stop();
    }
  });
});
