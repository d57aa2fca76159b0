import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisBackend } from '../../lib/backend/redis.backend.js';
import { commandsDuring } from '../support/command-stats.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';
import { WorkerProcess } from '../support/worker-process.js';
import { expectTtl, HOUR, MINUTE } from '../contract/auth-contract.js';

const NAMESPACE = 'session';
const KEY = `${NAMESPACE}:key`;

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('maxAge, whatever Redis is told about a key', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  beforeAll(async () => {
    stage = await Stage.redis();
    ({ server } = stage);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    store = await stage.open({ namespace: NAMESPACE, ttl: '1h', maxAge: '2h', sliding: true });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  const reads: [string, (s: RedisCacheStore) => Promise<unknown>][] = [
    ['get', (s) => s.get('key')],
    ['get with touch', (s) => s.get('key', { touch: true })],
    ['getMany', async (s) => (await s.getMany(['key']))[0]],
    ['entries', async (s) => (await allOf(s.entries()))[0]],
    ['entries with a tag', async (s) => (await allOf(s.entries({ tag: 'user:42' })))[0]],
    ['records', async (s) => (await allOf(s.records()))[0]],
    ['inspect', (s) => s.inspect('key')],
    ['update', (s) => s.update('key', () => 2)],
    ['deleteIf', async (s) => (await s.deleteIf('key', () => true)) || undefined],
    ['move', (s) => s.move('key', 'new')],
    ['take', (s) => s.take('key')],
  ];

  it.each(reads)('is judged by %s: a record that was persisted is absent once it is too old', async (_, read) => {
    await store.put('key', 1, { tags: ['user:42'] });
    await server.cli('PERSIST', KEY);
    await stage.pass(2 * HOUR - MINUTE);
    expect(await store.get('key')).toBe(1);
    await server.cli('PERSIST', KEY);
    await stage.pass(MINUTE);
    await server.cli('PERSIST', `${NAMESPACE}#user:42`);
    expect(await read(store)).toBeUndefined();
    expect(await store.replace('key', 2)).toBe(false);
    expect(await store.touch('key', '1h')).toBe(false);
  });

  // Its tag's index has ended long before.
  const untagged = reads.filter(([name]) => name !== 'entries with a tag');
  it.each(untagged)(
    'is judged by %s: a record that was restored from a dump is absent once it is too old',
    async (_, read) => {
      await store.put('key', 1);
      const dump = await server.client().dumpBuffer(KEY);
      await store.delete('key');
      await stage.pass(3 * HOUR);
      await server.client().restore(KEY, 0, dump);
      expect(await read(store)).toBeUndefined();
    },
  );

  it.each(reads)('is judged by %s: a record older than a maxAge that was lowered is absent', async (_, read) => {
    const before = await stage.open({ namespace: NAMESPACE, ttl: '10h' });
    await before.put('key', 1, { tags: ['user:42'] });
    await stage.pass(3 * HOUR);
    expect(await before.get('key')).toBe(1);
    expect(await read(store)).toBeUndefined();
  });

  it('leaves has, ttl, keys and deletion to what Redis holds', async () => {
    await store.put('key', 1, { tags: ['user:42'] });
    await server.cli('PERSIST', KEY);
    await stage.pass(3 * HOUR);
    expect([await store.has('key'), await store.ttl('key'), await store.keys()]).toEqual([true, null, ['key']]);
    expect(await store.delete('key')).toBe(true);
  });

  it('lets putIfAbsent and getOrPut write where a record is too old to be read', async () => {
    for (const write of [() => store.putIfAbsent('key', 2), () => store.getOrPut('key', () => 2)]) {
      await store.put('key', 1, { tags: ['user:42'] });
      await server.cli('PERSIST', KEY);
      await stage.pass(3 * HOUR);
      expect([true, 2]).toContain(await write());
      expect(await store.get('key')).toBe(2);
      await expectTtl(store, 'key', HOUR);
      expect(await store.keys({ tag: 'user:42' })).toEqual([]);
    }
  });

  it('caps what a record from before maxAge is extended to, from its creation', async () => {
    const before = await stage.open({ namespace: NAMESPACE, ttl: '1h' });
    await before.put('key', 1);
    for (let age = 50; age < 120; age += 35) {
      await stage.pass((age === 50 ? 50 : 35) * MINUTE);
      expect(await store.touch('key')).toBe(true);
      // The moment of creation is that of Redis' clock as the process reckons it.
      expect(await store.ttl('key')).toBeLessThanOrEqual((120 - age) * MINUTE + 100);
    }
    await stage.pass(35 * MINUTE);
    expect(await store.get('key')).toBeUndefined();
  });

  it('lets a record be moved in the last millisecond of its life, of which Redis says that 0 are left', async () => {
    await store.put('key', 1);
    const ofBackend = Object.getOwnPropertyDescriptor(RedisBackend.prototype, 'getWithTtl') ?? {};
    const read = ofBackend.value as RedisBackend['getWithTtl'];
    const value: typeof read = async function (this: RedisBackend, ...args) {
      const found = await read.apply(this, args);
      return found && { ...found, ttl: 0 };
    };
    Object.defineProperty(RedisBackend.prototype, 'getWithTtl', { ...ofBackend, value });
    try {
      expect(await store.move('key', 'new', { grace: '1m' })).toBe(1);
    } finally {
      Object.defineProperty(RedisBackend.prototype, 'getWithTtl', ofBackend);
    }
  });
});

describe('the age of a record', () => {
  it('and its ttl are read in one step of Redis by inspect, records and move, so that they are of one moment', async () => {
    const stage = await Stage.redis();
    try {
      const store = await stage.open();
      await store.put('key', 1);
      await store.inspect('key'); // from then on Redis knows the script
      const scripts = async (call: () => Promise<unknown>) => (await commandsDuring(stage.server, call))['evalsha'];
      expect(await scripts(() => store.inspect('key'))).toBe(1);
      expect(await scripts(() => allOf(store.records()))).toBe(1);
      expect(await scripts(() => store.move('key', 'new'))).toBe(3); // and two steps of its own
    } finally {
      await stage.stop();
    }
  });

  it('is of the clock of Redis, whatever the hosts believe the time to be', async () => {
    const stage = await Stage.redis();
    const options = { namespace: NAMESPACE, ttl: '1h', maxAge: '2h', sliding: true };
    const host = (hours: number) =>
      WorkerProcess.start<typeof import('../support/workers/clock.worker.js')>('clock.worker', {
        REDIS_URL: stage.url,
        STORE: JSON.stringify(options),
        AHEAD: String(hours * HOUR),
      });
    const [early, late] = await Promise.all([host(-48), host(48)]);
    try {
      const store = await stage.open(options);
      for (const writer of [early, late]) {
        await writer.run('put', 'key', 'value', ['user:42']);
        for (const reader of [early, late]) {
          expect(await reader.run('get', 'key')).toBe('value');
          expect(await reader.run('touch', 'key')).toBe(true);
          expect(await reader.run('keys', 'user:42')).toEqual(['key']);
        }
        expect(await store.get('key')).toBe('value');
        await expectTtl(store, 'key', HOUR);
        await store.touch('key', '9h');
        await expectTtl(store, 'key', 2 * HOUR);
      }
    } finally {
      await Promise.all([early.kill(), late.kill()]);
      await stage.stop();
    }
  });
});
