import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import {
  CacheConfigError,
  CacheCorruptError,
  type EncryptionOptions,
  type RedisCacheModuleOptions,
} from 'nestjs-redis-cache-store';
import { allOf } from '../contract/store-contract.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { Stage } from '../support/stage.js';

const [newKey, oldKey, otherKey] = [randomBytes(32), randomBytes(32), randomBytes(32)];
/** How often a function that gives keys may be asked, in ms. */
const PAUSE = 1000;

describe('the rotation of encryption keys', () => {
  let stage: Stage;
  let raw: Redis;
  beforeAll(async () => {
    stage = await Stage.redis();
    raw = stage.server.client();
  });
  afterEach(async () => {
    await stage.clean();
    await stage.server.cli('FLUSHALL');
  });
  afterAll(() => stage?.stop());

  const open = (options: RedisCacheModuleOptions) => stage.open({ namespace: 'session', ttl: '1h', ...options });
  /** The id of the key that a record is sealed with. */
  const sealedWith = async () => (await raw.getBuffer('session:key'))?.toString('hex', 14, 18);

  it('opens what older keys have sealed, and seals with the first', async () => {
    const before = await open({ encryption: { keys: [oldKey] } });
    await before.put('key', 1);
    const oldId = await sealedWith();
    const store = await open({ encryption: { keys: [newKey, oldKey] } });
    expect(await store.get('key')).toBe(1);
    expect(await sealedWith()).toBe(oldId);
    expect(await store.update('key', (n: number) => n + 1)).toBe(2);
    expect(await sealedWith()).not.toBe(oldId);
    const after = await open({ encryption: { keys: [newKey] } });
    expect(await after.get('key')).toBe(2);
    await expect(before.get('key')).rejects.toThrow(CacheCorruptError);
    await expect(before.replace('key', 3)).rejects.toThrow(CacheCorruptError);
    await expect(before.touch('key')).rejects.toThrow(CacheCorruptError);
    await expect(before.take('key')).rejects.toThrow(CacheCorruptError);
  });

  it('refuses no record of a rolling deploy that adds the key, puts it in front, and drops the old one', async () => {
    const steps = [[oldKey], [oldKey, newKey], [newKey, oldKey], [newKey]];
    const instances = await Promise.all(steps.map((keys) => open({ encryption: { keys } })));
    for (const [i, before] of instances.slice(0, -1).entries()) {
      const after = instances[i + 1];
      if (!after) throw new Error('there is a next step');
      for (const [writer, reader] of [
        [before, after],
        [after, before],
      ] as const) {
        await writer.put('session', { step: i }, { tags: ['user:42'] });
        expect(await reader.get('session')).toEqual({ step: i });
        expect(await reader.touch('session', '1h')).toBe(true);
        expect(await reader.update<{ step: number }>('session', (session) => session)).toEqual({ step: i });
        expect(await writer.get('session')).toEqual({ step: i });
        expect(await reader.take('session')).toEqual({ step: i });
        expect(await writer.take('session')).toBeUndefined();
      }
      await before.put('kept', i); // which the first key of the next step has to open, too
      expect(await after.replace('kept', i)).toBe(true);
    }
  });

  it('takes no record that it cannot open: an instance that has the key still can', async () => {
    const ahead = await open({ encryption: { keys: [newKey] } });
    const behind = await open({ encryption: { keys: [oldKey] } });
    await ahead.put('token', 1);
    await expect(behind.take('token')).rejects.toThrow(CacheCorruptError);
    expect(await (await open({ encryption: { keys: [oldKey] }, onCorrupt: 'miss' })).take('token')).toBeUndefined();
    const takes = await Promise.all(Array.from({ length: 20 }, () => ahead.take('token')));
    expect(takes.filter((found) => found === 1)).toHaveLength(1);
  });

  it('needs an explicit hashKey where keys are hashed and there are several', async () => {
    const refused = open({ encryption: { keys: [newKey, oldKey] }, hashKeys: true });
    await expect(refused).rejects.toThrow(CacheConfigError);
    await expect(refused).rejects.toMatchObject({ option: 'encryption.hashKey' });
  });

  it('reads records that are not encrypted, while it seals new ones, if acceptPlain says so', async () => {
    const plain = await open({});
    await plain.putMany([
      ['read', 1],
      ['changed', 1],
      ['taken', 1],
    ]);
    const strict = await open({ encryption: { keys: [newKey] } });
    await expect(strict.get('read')).rejects.toThrow(CacheCorruptError);
    const migrating = await open({ encryption: { keys: [newKey], acceptPlain: true } });
    expect(await migrating.get('read')).toBe(1);
    expect(await migrating.keys()).toEqual(['changed', 'read', 'taken']);
    expect(await migrating.take('taken')).toBe(1);
    expect(await migrating.update<number>('changed', (n) => n + 1)).toBe(2);
    await migrating.put('new', 3);
    expect(await strict.getMany(['changed', 'new'])).toEqual([2, 3]);
    // A store without keys leaves what it cannot open, at take as well.
    for (const read of [() => plain.get('new'), () => plain.take('new')]) {
      await expect(read()).rejects.toThrow(CacheCorruptError);
    }
    expect(await strict.take('new')).toBe(3);
    const hashed = open({ encryption: { keys: [newKey], acceptPlain: true }, hashKeys: true });
    await expect(hashed).rejects.toMatchObject({ option: 'encryption.acceptPlain' });
    const wrong = open({ encryption: { keys: [newKey], acceptPlain: 'yes' as never } });
    await expect(wrong).rejects.toMatchObject({ option: 'encryption.acceptPlain' });
  });

  it('keeps hashed keys and tags where they are, as long as hashKey stays', async () => {
    const before = await open({ encryption: { keys: [oldKey] }, hashKeys: true });
    await before.put('key', 1, { tags: ['user:42'] });
    const rotated: EncryptionOptions[] = [
      { keys: [oldKey, newKey], hashKey: oldKey },
      { keys: [newKey, otherKey, oldKey], hashKey: oldKey },
    ];
    for (const encryption of rotated) {
      const store = await open({ encryption, hashKeys: true });
      expect(await store.get('key')).toBe(1);
      expect(await store.keys({ tag: 'user:42' })).toEqual(['key']);
      await store.put('key', 1, { tags: ['user:42'] });
    }
    const after = await open({ encryption: { keys: [newKey], hashKey: oldKey }, hashKeys: true });
    expect(await after.get('key')).toBe(1);
    expect(await after.deleteByTag('user:42')).toBe(1);
    expect(await stage.server.cli('DBSIZE')).toBe(0);
  });

  /** A store that was told of the old key only, and then of what `answer` says, when it asks again. */
  async function withFunction(answer: (asked: number) => EncryptionOptions | Promise<EncryptionOptions>) {
    let asked = 0;
    const encryption = () => (asked++ === 0 ? { keys: [oldKey] } : answer(asked));
    const store = await open({ encryption });
    await store.put('old', 'old');
    return { store, asked: () => asked };
  }

  it('reads a function again when a record is sealed with an unknown key, at most once a second', async () => {
    const { store, asked } = await withFunction(() => ({ keys: [newKey, oldKey] }));
    const ahead = await open({ encryption: { keys: [newKey, oldKey] } });
    const stranger = await open({ encryption: { keys: [otherKey] } });
    await ahead.put('key', 'new');
    await stranger.put('strange', 1);
    const begun = performance.now();
    await eventually(async () => expect(await store.get('key')).toBe('new'));
    expect(await store.get('old')).toBe('old');
    expect(asked()).toBe(2);
    // What nobody knows is asked for again and again, but not more often than that.
    for (let i = 0; i < 100; i++) await expect(store.get('strange')).rejects.toThrow(CacheCorruptError);
    await Promise.allSettled(Array.from({ length: 100 }, () => store.get('strange')));
    expect(asked()).toBeLessThanOrEqual(2 + Math.floor((performance.now() - begun) / PAUSE));
    await store.put('key', 'newer');
    expect(await ahead.get('key')).toBe('newer');
    expect(await reasonOf((await open({ encryption: { keys: [oldKey] } })).get('key'))).toBeInstanceOf(
      CacheCorruptError,
    );
  });

  it('opens nothing any more that a key has sealed which the function no longer gives, read before or not', async () => {
    const { store } = await withFunction(() => ({ keys: [newKey] }));
    await store.put('unread', 'old');
    expect(await store.get('old')).toBe('old');
    await (await open({ encryption: { keys: [newKey] } })).put('key', 'new');
    await eventually(async () => expect(await store.get('key')).toBe('new'));
    for (const key of ['old', 'unread']) await expect(store.get(key)).rejects.toThrow(CacheCorruptError);
  });

  it('shares one asking among all who wait, and its answer', async () => {
    let answer: (options: EncryptionOptions) => void = () => undefined;
    const { store, asked } = await withFunction(() => new Promise((resolve) => (answer = resolve)));
    await (await open({ encryption: { keys: [newKey] } })).putMany(Array.from({ length: 50 }, (_, i) => [`${i}`, i]));
    await eventually(() => {
      void reasonOf(store.get('0'));
      expect(asked()).toBe(2);
    });
    const found = store.getMany(Array.from({ length: 50 }, (_, i) => `${i}`));
    await store.get('old'); // so that they have been read, too
    answer({ keys: [newKey, oldKey] });
    expect(await found).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(asked()).toBe(2);
  });

  const failures: [string, () => EncryptionOptions | Promise<EncryptionOptions>][] = [
    ['rejects', () => Promise.reject(new TypeError('vault says secret-token'))],
    [
      'throws',
      () => {
        throw new TypeError('vault says secret-token');
      },
    ],
    ['gives a bad key', () => ({ keys: ['secret-token'] })],
    ['gives nothing', () => undefined as never],
    ['never answers', () => new Promise(() => undefined)],
  ];
  it.each(failures)('keeps its keys, and calls no record corrupt, when the function %s', async (_, fail) => {
    const encryption = { keys: [newKey] };
    await (await open({ encryption })).put('key', 'new');
    let asked = 0;
    const store = await open({ timeout: 300, encryption: () => (asked++ === 0 ? { keys: [oldKey] } : fail()) });
    await store.put('old', 'old');
    await eventually(async () => {
      await reasonOf(store.get('key'));
      expect(asked).toBe(2);
    });
    for (const read of [() => store.get('key'), () => store.take('key'), () => store.update('key', () => 1)]) {
      expect(await reasonOf(read())).toMatchObject({ code: 'CACHE_UNAVAILABLE', outcome: 'not-sent' });
    }
    expect(await reasonOf(allOf(store.entries()))).toMatchObject({ code: 'CACHE_UNAVAILABLE' });
    expect(await allOf(store.entries({ onCorrupt: 'skip' }))).toEqual([['old', 'old']]);
    expect(await store.get('old')).toBe('old');
    await store.put('old', 'older');
    expect(await store.get('old')).toBe('older');
    expect(stage.warnings).toHaveLength(_ === 'never answers' ? 0 : 1);
    expect(stage.warnings.join()).not.toMatch(/secret|token/);
  });

  it('is waited for within the timeout of the call, however late the record came', async () => {
    await (await open({ encryption: { keys: [newKey] } })).put('key', 'new');
    const proxy = await TcpProxy.start(stage.server);
    try {
      let asked = 0;
      const encryption = () => (asked++ === 0 ? { keys: [oldKey] } : new Promise<never>(() => undefined));
      const store = await open({ url: proxy.url, timeout: 1500, encryption });
      await store.inspect('other'); // Redis then knows the script
      await delay(1000); // the function is asked again after that time at the earliest
      proxy.delay(500); // each way
      const begun = performance.now();
      const reads = [store.get('key'), store.getMany(['key']), store.take('key'), store.inspect('key')];
      const changes = [store.update('key', () => 1), store.move('key', 'other'), store.deleteIf('key', () => true)];
      for (const reason of await Promise.all([...reads, ...changes].map(reasonOf))) {
        expect(reason).toMatchObject({ code: 'CACHE_UNAVAILABLE', outcome: 'not-sent' });
      }
      expect(asked).toBe(2);
      expect(performance.now() - begun).toBeLessThan(2200);
    } finally {
      await proxy.stop();
    }
  });
});
