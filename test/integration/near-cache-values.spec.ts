import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { CacheArgumentError } from 'nestjs-redis-cache-store';
import type { CacheNearMessage, RedisCacheStore, Serializer } from 'nestjs-redis-cache-store';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { NearStage, TRAVEL } from '../support/near-stage.js';

const nearCache = { lease: '1m' };

/** What is kept, for how long, and what callers are given. */
describe('records in a near cache', () => {
  let stage: NearStage;

  beforeAll(async () => (stage = await NearStage.start()));
  beforeEach(() => stage.reset());
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  it('are at most maxEntries, of which the least recently used goes first', async () => {
    const store = await stage.open({ nearCache: { ...nearCache, maxEntries: 3 } });
    await store.putMany(['a', 'b', 'c', 'd'].map((key) => [key, key]));
    const isKept = async (key: string) => (await stage.readsDuring(() => store.get(key))) === 0;
    await stage.warm(store, 'a', 'b', 'c');
    await sleep(20); // uses that are closer together count as one
    expect(await isKept('a')).toBe(true); // and now the most recently used
    await store.get('d');
    await sleep(20);
    expect([await isKept('a'), await isKept('c'), await isKept('d')]).toEqual([true, true, true]);
    expect(await isKept('b')).toBe(false);
    expect(await isKept('a')).toBe(false); // it was the oldest when b came back
  });

  it('take at most maxBytes, or 64 MiB in all stores of a process together', async () => {
    const [own, shared] = [10_000, 64 * 2 ** 20];
    const app = await stage.app(
      { url: stage.server.url, nearCache, timeout: '10s' },
      { namespace: 'other', nearCache },
      { namespace: 'small', nearCache: { ...nearCache, maxBytes: own } },
    );
    const small = app.storeOf('small');
    await small.put('warm', 1);
    await stage.warm(small, 'warm');
    const most = new Map<string, number>();
    const evictedFrom = new Set<string>();
    const listener = (message: unknown) => {
      const told = message as CacheNearMessage;
      if (told.event === 'eviction') evictedFrom.add(told.namespace);
      if (told.event === 'fill') most.set(told.namespace, Math.max(told.bytes, most.get(told.namespace) ?? 0));
    };
    const fill = async (store: RedisCacheStore, records: number, letters: number) => {
      for (let i = 0; i < records; i++) {
        await store.put(`${i}`, 'x'.repeat(letters));
        await store.get(`${i}`);
      }
    };
    subscribe('nestjs-redis-cache-store:near-cache', listener);
    try {
      await fill(small, 20, 1000);
      expect([...evictedFrom]).toEqual(['small']);
      await fill(app.store, 9, 2e6); // of which each letter counts as two bytes
      expect([...evictedFrom]).toEqual(['small']);
      await fill(app.storeOf('other'), 9, 2e6);
      expect([...evictedFrom]).toEqual(['small', app.store.namespace]);
    } finally {
      unsubscribe('nestjs-redis-cache-store:near-cache', listener);
    }
    expect(most.get('small')).toBeGreaterThan(own / 2);
    expect(most.get('small')).toBeLessThanOrEqual(own);
    expect(most.get('other')).toBeGreaterThan(shared / 2);
    expect(most.get('other')).toBeLessThanOrEqual(shared);
  });

  it('answer to texts only: what would read like a key is refused, be there a copy or not', async () => {
    const store = await stage.open({ nearCache });
    await store.put('42', 1);
    await store.scope('a').put('42', 1);
    await stage.warm(store, '42', 'a:42');
    for (const key of [42, ['42'], Object('42'), { toString: () => '42' }] as never[]) {
      await expect(store.get(key)).rejects.toThrow(CacheArgumentError);
      await expect(store.scope('a').get(key)).rejects.toThrow(CacheArgumentError);
    }
  });

  it('are the caller’s own where a serializer gives its bytes out as they are', async () => {
    const serializer = { serialize: (value: unknown) => value as Buffer, deserialize: (bytes: Uint8Array) => bytes };
    const store = await stage.open({ nearCache, serializer });
    await store.put('key', Buffer.from('abc'));
    await stage.warm(store, 'key');
    (await store.get<Buffer>('key'))?.fill('-');
    expect(String(await store.get('key'))).toBe('abc');
  });

  it('are handed out deeply frozen where they are plain data, the same to every caller', async () => {
    const store = await stage.open({ nearCache });
    const session = { user: { id: 42, roles: ['admin', { of: 'shop' }] }, none: null };
    await store.put('key', session);
    const missed = await store.get<typeof session>('key');
    await stage.warm(store, 'key');
    const hit = await store.get<typeof session>('key');
    expect(hit).toEqual(session);
    expect(await store.get('key')).toBe(hit);
    for (const value of [missed ?? session, hit ?? session]) {
      expect(() => Object.assign(value, { user: undefined })).toThrow(TypeError);
      expect(() => (value.user.id = 1)).toThrow(TypeError);
      expect(() => value.user.roles.push('root')).toThrow(TypeError);
      expect(() => Object.assign(value.user.roles[1] ?? {}, { of: 'bank' })).toThrow(TypeError);
    }
    session.user.id = 1; // what was put is still the caller's own
    expect(await store.get('key')).toHaveProperty('user.id', 42);
  });

  it.each<[name: string, make: () => object, change: (value: object) => unknown]>([
    ['a Date', () => new Date(0), (value) => (value as Date).setFullYear(2000)],
    ['a Map', () => new Map([['a', 1]]), (value) => (value as Map<string, number>).clear()],
    ['a Set', () => new Set(['a']), (value) => (value as Set<string>).clear()],
    ['a Buffer', () => Buffer.from('abc'), (value) => (value as Buffer).fill(0)],
    ['an object with a Date', () => ({ at: new Date(0) }), (value) => (value as { at: Date }).at.setFullYear(2000)],
    ['an array with a Map', () => [[new Map([['a', 1]])]], (value) => (value as Map<string, number>[][]).pop()],
  ])('are a fresh copy for every caller where they are not: %s', async (_, make, change) => {
    const store = await stage.open({ nearCache });
    await store.put('key', make());
    change((await store.get<object>('key')) ?? {});
    await stage.warm(store, 'key');
    const reads = await stage.readsDuring(async () => {
      for (let i = 0; i < 3; i++) {
        const value = (await store.get<object>('key')) ?? {};
        expect(value).toEqual(make());
        change(value);
      }
    });
    expect(reads).toBe(0);
  });

  describe('whose parts may belong to the application', () => {
    const plans = { free: { seats: 1, features: ['read'] }, team: { seats: 10, features: ['read', 'write'] } };
    type Plan = keyof typeof plans;
    const schema: StandardSchemaV1<unknown, { plan: (typeof plans)[Plan]; visits: number }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => ({ value: { plan: plans[(value as { plan: Plan }).plan], visits: 0 } }),
      },
    };
    const serializer: Serializer = {
      serialize: ({ plan }: { plan: Plan }) => Buffer.from(plan),
      deserialize: (bytes) => ({ plan: plans[Buffer.from(bytes).toString() as Plan], visits: 0 }),
    };

    it.each([
      ['a schema', { schema }],
      ['a serializer', { serializer }],
    ])('are made anew for every caller, and never frozen: by %s', async (_, made) => {
      const store = await stage.open({ nearCache, ...made });
      await store.put('key', { plan: 'team' });
      await stage.warm(store, 'key');
      const reads = await stage.readsDuring(async () => {
        for (let i = 0; i < 3; i++) {
          const value = await store.get<{ plan: object; visits: number }>('key');
          expect(value).toEqual({ plan: plans.team, visits: 0 });
          expect(value?.plan).toBe(plans.team);
          if (value) value.visits++; // their own
        }
      });
      expect(reads).toBe(0);
      for (const part of [plans, plans.team, plans.team.features]) expect(Object.isFrozen(part)).toBe(false);
    });
  });

  it('may be null, and any other plain value that is no object', async () => {
    const store = await stage.open({ nearCache });
    for (const value of [null, 0, '', false, 'text']) {
      await store.put('key', value);
      await stage.warm(store, 'key');
      expect(await store.get('key')).toBe(value);
    }
  });

  it('are not kept where there are none: what is absent is asked for each time', async () => {
    const [store, other] = [await stage.open({ nearCache }), await stage.open()];
    const reads = await stage.readsDuring(async () => {
      for (let i = 0; i < 5; i++) expect(await store.get('key')).toBeUndefined();
    });
    expect(reads).toBeGreaterThanOrEqual(5);
    await other.put('key', 'value');
    expect(await store.get('key')).toBe('value'); // no message has to travel for that
  });

  it('that slide live on in Redis while they are read locally, with one extension in a tenth of their ttl', async () => {
    const ttl = 1000;
    const store = await stage.open({ nearCache, sliding: true, ttl });
    await store.put('key', 'value');
    let reads = 0;
    const begun = performance.now();
    const commands = await commandsDuring(stage.server, async () => {
      for (; performance.now() - begun < 2.5 * ttl; reads++) {
        expect(await store.get('key')).toBe('value');
        if (reads % 100 === 0) await sleep(1);
      }
    });
    expect(await store.ttl('key')).toBeGreaterThan(ttl / 2);
    expect(reads).toBeGreaterThan(1000);
    const { pexpire = 0, getrange = 0 } = commands;
    expect(pexpire).toBeGreaterThanOrEqual(2);
    expect(pexpire).toBeLessThanOrEqual(30);
    expect(getrange).toBeLessThan(reads / 5);
  });

  it('that are touched live as much longer, in Redis and here', async () => {
    const store = await stage.open({ nearCache });
    await store.put('key', 'value', { ttl: 1500 });
    await store.put('other', 'value', { ttl: 1500 });
    await stage.warm(store, 'key', 'other');
    expect(await store.touch('key', '1h')).toBe(true);
    expect(await store.get('other', { touch: '1h' })).toBe('value');
    await sleep(1510);
    for (const key of ['key', 'other']) {
      expect(await store.ttl(key)).toBeGreaterThan(3_500_000);
      expect(await store.get(key)).toBe('value');
    }
  });

  it('may be encrypted under hashed keys', async () => {
    const encryption = { keys: [Buffer.alloc(32, 1)] };
    const options = { nearCache, encryption, hashKeys: true };
    const [store, other] = [await stage.open(options), await stage.open(options)];
    await store.put('plain', { user: 42 });
    await store.put('not plain', new Map([['user', 42]]));
    await stage.warm(store, 'plain', 'not plain');
    expect(await store.get('plain')).toEqual({ user: 42 });
    expect(await store.get('not plain')).toEqual(new Map([['user', 42]]));
    await other.put('plain', { user: 43 });
    await other.delete('not plain');
    await eventually(
      async () => {
        expect(await store.get('plain')).toEqual({ user: 43 });
        expect(await store.get('not plain')).toBeUndefined();
      },
      { timeout: TRAVEL },
    );
    await store.delete('plain');
    expect(await store.get('plain')).toBeUndefined();
  });
});
