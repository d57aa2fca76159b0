import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { DATA, FEED, NAMESPACE, NearStage, TRAVEL } from '../support/near-stage.js';
import type { RedisServer } from '../support/redis-server.js';

/** Longer than any test looks: where nothing is broken, no answer may owe its freshness to the lease. */
const nearCache = { lease: '1m' };
const KEY = `${NAMESPACE}:key`;

/** What makes a local copy outdated while everything works, by whomever it is done. */
describe('the near cache', () => {
  let stage: NearStage;

  beforeAll(async () => (stage = await NearStage.start()));
  beforeEach(() => stage.reset());
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  const open = () => stage.open({ nearCache });
  const expectSeen = (store: RedisCacheStore, expected: unknown) =>
    eventually(async () => expect(await store.get('key')).toBe(expected), { timeout: TRAVEL });

  it('answers from this process, without asking Redis', async () => {
    const store = await open();
    await store.put('key', { user: 42 });
    await stage.warm(store, 'key');
    const reads = await stage.readsDuring(async () => {
      for (let i = 0; i < 100; i++) expect(await store.get('key')).toEqual({ user: 42 });
    });
    expect(reads).toBe(0);
  });

  type Act = (store: RedisCacheStore) => Promise<unknown>;

  it.each<[method: string, read: Act, expected: unknown]>([
    ['get', (store) => store.get('key'), 'value'],
    ['getMany', (store) => store.getMany(['key', 'key']), ['value', 'value']],
    ['getOrPut', (store) => store.getOrPut('key', () => 'loaded'), 'value'],
    ['has', (store) => store.has('key'), true],
  ])('%s is answered from a copy, and asks Redis where there is none', async (_, read, expected) => {
    const [store, other] = [await open(), await open()];
    await other.put('key', 'value');
    await stage.warm(store, 'key');
    const asked = () => commandsDuring(stage.server, async () => expect(await read(store)).toEqual(expected));
    expect(await asked()).toEqual({});
    await stage.server.cli('PEXPIRE', KEY, 60_000);
    await eventually(async () => expect(await asked()).not.toEqual({}), { timeout: TRAVEL });
  });

  it('what is not there yet is read together, in one round trip, and each record is kept and tracked', async () => {
    const [store, other] = [await stage.proxied({ nearCache }), await open()];
    const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);
    await other.putMany(keys.map((key) => [key, 'value']));
    await other.put('warm', 'value');
    await stage.warm(store, 'warm'); // shows how large records are, and that there is a feed
    const before = stage.proxy.roundTrips;
    stage.proxy.delay(20, DATA);
    const commands = await commandsDuring(stage.server, async () => {
      expect(await store.getMany(keys)).toEqual(keys.map(() => 'value'));
    });
    expect(commands).toMatchObject({ client: 1, mget: 1, pttl: 40 });
    expect(commands['getrange']).toBeUndefined();
    expect(stage.proxy.roundTrips - before).toBeLessThanOrEqual(3); // with a sign of life and a proof of freshness
    stage.proxy.delay(0);
    expect(await stage.readsDuring(() => store.getMany(keys))).toBe(0);
    await other.deleteMany(keys);
    await eventually(async () => expect(await store.getMany(keys)).toEqual(keys.map(() => undefined)));
  });

  it('a copy that Redis has shown to be gone is not served, although Redis has not told of that yet', async () => {
    const [store, other] = [await stage.proxied({ nearCache }), await open()];
    const answers: [unknown, Act][] = [
      [false, (own) => own.replace('key', 'new')],
      [undefined, (own) => own.update('key', () => 'new')],
      [false, (own) => own.touch('key')],
      [undefined, (own) => own.ttl('key')],
      [undefined, (own) => own.take('key')],
    ];
    for (const [answer, ask] of answers) {
      await other.put('key', 'old', { ttl: '1h' });
      await stage.warm(store, 'key');
      stage.proxy.stallReplies(FEED);
      await other.delete('key');
      expect(await ask(store)).toBe(answer);
      expect(await store.get('key')).toBeUndefined();
      await stage.proxy.resume();
    }
  });

  const ways: [way: string, act: Act, expected: string | undefined][] = [
    ['put', (store) => store.put('key', 'new'), 'new'],
    ['putMany', (store) => store.putMany([['key', 'new']]), 'new'],
    ['replace', (store) => store.replace('key', 'new'), 'new'],
    ['update', (store) => store.update('key', () => 'new'), 'new'],
    ['take', (store) => store.take('key'), undefined],
    ['delete', (store) => store.delete('key'), undefined],
    ['deleteMany', (store) => store.deleteMany(['key']), undefined],
    ['deleteByTag', (store) => store.deleteByTag('tag'), undefined],
    ['clear', (store) => store.clear(), undefined],
  ];

  it.each(ways)(
    'own writes and deletes are visible at once to the own process, and to others when the message has travelled: %s',
    async (_, act, expected) => {
      const app = await stage.app({ url: stage.server.url, nearCache }, { namespace: NAMESPACE, nearCache });
      const readers = [app.store, app.storeOf(NAMESPACE)]; // two stores of one process, on the same records
      const other = await open();
      await app.store.put('key', 'old', { tags: ['tag'] });
      for (const reader of [...readers, other]) await stage.warm(reader, 'key');
      await act(app.store);
      for (const reader of readers) expect(await reader.get('key')).toBe(expected);
      await expectSeen(other, expected);
    },
  );

  it('a write that a store without a near cache makes in the same process is visible at once, too', async () => {
    const app = await stage.app({ url: stage.server.url }, { namespace: NAMESPACE, nearCache });
    const reader = app.storeOf(NAMESPACE);
    await app.store.put('key', 'old');
    await stage.warm(reader, 'key');
    await app.store.put('key', 'new');
    expect(await reader.get('key')).toBe('new');
  });

  const outside: [way: string, commands: (string | number)[][], expected: string | undefined][] = [
    ['COPY', [['COPY', `${NAMESPACE}:source`, KEY, 'REPLACE']], 'new'],
    ['RENAME over it', [['RENAME', `${NAMESPACE}:source`, KEY]], 'new'],
    ['RENAME away', [['RENAME', KEY, 'elsewhere']], undefined],
    ['DEL', [['DEL', KEY]], undefined],
    ['UNLINK', [['UNLINK', KEY]], undefined],
    ['GETDEL', [['GETDEL', KEY]], undefined],
    ['MOVE', [['MOVE', KEY, 1]], undefined],
    ['PEXPIRE 1', [['PEXPIRE', KEY, 1]], undefined],
    ['PEXPIREAT in the past', [['PEXPIREAT', KEY, 1]], undefined],
    ['FLUSHALL', [['FLUSHALL']], undefined],
    ['FLUSHALL ASYNC', [['FLUSHALL', 'ASYNC']], undefined],
    ['FLUSHDB', [['FLUSHDB']], undefined],
    ['a script', [['EVAL', `redis.call('RENAME', KEYS[2], KEYS[1])`, 2, KEY, `${NAMESPACE}:source`]], 'new'],
    ['a transaction', [['MULTI'], ['DEL', KEY], ['COPY', `${NAMESPACE}:source`, KEY], ['EXEC']], 'new'],
  ];

  it.each(outside)(
    'what another client does reaches a reader when the message has travelled: %s',
    async (_, commands, expected) => {
      const store = await open();
      await store.putMany([
        ['key', 'old'],
        ['source', 'new'],
      ]);
      await stage.warm(store, 'key');
      for (const [command, ...args] of commands) await stage.server.cli(String(command), ...args);
      await expectSeen(store, expected);
    },
  );

  it('expiry counts as a change, and a record never outlives its ttl locally, whether Redis tells of it or not', async () => {
    const store = await stage.proxied({ nearCache });
    await store.put('key', 'value', { ttl: 400 });
    const acknowledged = performance.now();
    await stage.warm(store, 'key');
    stage.proxy.stallReplies(FEED);
    let served = 0;
    while (performance.now() < acknowledged + 400) if ((await store.get('key')) !== undefined) served++;
    expect(served).toBeGreaterThan(100);
    expect(await store.get('key')).toBeUndefined();
  });

  it('eviction counts as a change', async () => {
    const store = await open();
    await store.put('key', 'value');
    await stage.warm(store, 'key');
    await underPressure(stage.server, async () => {
      await expectSeen(store, undefined);
    });
  });

  it('a value read before an invalidation of its key arrived is never kept', async () => {
    const [store, other] = [await stage.proxied({ nearCache }), await open()];
    await other.put('key', 'old');
    stage.proxy.stallReplies(DATA);
    let inFlight: Promise<unknown> | undefined;
    await stage.executed(() => (inFlight = store.get('key')));
    await other.put('key', 'new');
    await sleep(TRAVEL); // the invalidation is there by now, the older reply is not
    await stage.proxy.resume();
    expect(await inFlight).toBe('old');
    expect(await store.get('key')).toBe('new');
    await stage.warm(store, 'key');
    expect(await store.get('key')).toBe('new');
  });
});

/** While the server has evicted everything of ours. */
async function underPressure(server: RedisServer, action: () => Promise<void>): Promise<void> {
  const used = Number(/used_memory:(\d+)/.exec(String(await server.cli('INFO', 'memory')))?.[1]);
  await server.cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  await server.cli('CONFIG', 'SET', 'maxmemory', used + 2 ** 20);
  try {
    await eventually(async () => {
      for (let i = 0; i < 200; i++) await server.cli('SET', `filler ${Math.random()}`, 'x'.repeat(10_000));
      expect(await server.cli('EXISTS', KEY)).toBe(0);
    });
    await action();
  } finally {
    await server.cli('CONFIG', 'SET', 'maxmemory', 0);
  }
}
