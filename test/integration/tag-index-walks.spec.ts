import { CacheCorruptError } from 'nestjs-redis-cache-store';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { HOUR } from '../contract/auth-contract.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';

const TAG = 'user:42';
const tags = [TAG];
const NAMESPACE = 'session';
const INDEX = `${NAMESPACE}#${TAG}`;

describe('an index that is walked', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  beforeAll(async () => {
    stage = await Stage.redis();
    ({ server } = stage);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    store = await stage.open({ namespace: NAMESPACE, ttl: '1h' });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  /** An entry of a record whose put is over. */
  const addEntry = (id: string) => server.cli('ZADD', INDEX, Date.now() + HOUR, `${newIncarnation(Date.now())}${id}`);

  it('that names what cannot be parsed is told of by listings, and deleteByTag deletes the others and then says so', async () => {
    for (let i = 0; i < 10; i++) await store.put(`mine ${i}`, i, { tags });
    await server.cli('RPUSH', `${NAMESPACE}:list`, 'x');
    await server.cli('SET', `${NAMESPACE}:text`, 'x');
    await addEntry('list');
    await addEntry('text');
    await expect(store.keys({ tag: TAG })).rejects.toBeInstanceOf(CacheCorruptError);
    await expect(store.deleteByTag(TAG)).rejects.toBeInstanceOf(CacheCorruptError);
    expect(await store.keys()).toEqual(['list', 'text']);
    const lenient = await stage.open({ namespace: NAMESPACE, onCorrupt: 'miss' });
    expect(await lenient.keys({ tag: TAG })).toEqual([]);
    await expect(lenient.deleteByTag(TAG)).rejects.toBeInstanceOf(CacheCorruptError);
  });

  it('of another type is an error, never an empty list', async () => {
    await server.cli('SET', INDEX, 'x');
    await expect(store.deleteByTag(TAG)).rejects.toMatchObject({ reply: 'WRONGTYPE' });
    await expect(store.keys({ tag: TAG })).rejects.toMatchObject({ reply: 'WRONGTYPE' });
    await expect(store.put('key', 1, { tags })).rejects.toMatchObject({ reply: 'WRONGTYPE' });
    expect(await store.has('key')).toBe(false);
  });

  it('is walked to its end although many members have the same score', async () => {
    const keys = Array.from({ length: 3500 }, (_, i) => `key ${10_000 + i}`);
    await store.putMany(
      keys.map((key) => [key, 1]),
      { tags },
    );
    const named = (await server.cli('ZRANGE', INDEX, 0, -1)) as string[];
    const score = Date.now() + HOUR;
    await server.cli('ZADD', INDEX, ...named.flatMap((member) => [score, member]));
    expect(await store.keys({ tag: TAG })).toEqual(keys);
    expect(await store.deleteByTag(TAG)).toBe(keys.length);
    expect(await server.cli('DBSIZE')).toBe(0);
  });

  it('that Redis evicted or lost does not keep a thorough deleteByTag from finding every record', async () => {
    const keys = Array.from({ length: 1200 }, (_, i) => `key ${10_000 + i}`);
    await store.putMany(
      keys.map((key) => [key, 1]),
      { tags },
    );
    await store.put('other', 1, { tags: ['user:4'] });
    await server.cli('DEL', INDEX);
    expect(await store.deleteByTag(TAG)).toBe(0);
    expect(await store.deleteByTag(TAG, { thorough: true })).toBe(keys.length);
    expect(await store.keys()).toEqual(['other']);
    await server.cli('SET', `${NAMESPACE}:text`, 'x');
    await store.put('key', 1, { tags });
    await expect(store.deleteByTag(TAG, { thorough: true })).rejects.toBeInstanceOf(CacheCorruptError);
    expect(await store.keys()).toEqual(['other', 'text']);
  });

  it('that is none, but a value of another type, keeps a thorough deleteByTag from no record, which then rejects', async () => {
    await store.putMany([['a', 1], ['b', 2]], { tags }); // prettier-ignore
    await server.cli('SET', INDEX, 'x');
    const error: unknown = await store.deleteByTag(TAG, { thorough: true }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CacheCorruptError);
    expect(error).toMatchObject({ message: '2 records were deleted, but the index of the tag has another type' });
    expect(await store.keys()).toEqual([]);
    expect(await server.cli('GET', INDEX)).toBe('x');
  });

  it('is passed over three times at most by a walk, however much is written and deleted meanwhile', async () => {
    // Large ones, and one that expires last, so that it is not yet read when the first is given.
    const fill = (round: number) =>
      store.putMany(
        Array.from({ length: 40 }, (_, i) => [`${round} ${i}`, ['x'.repeat(9000)], i === 39 ? { ttl: '2h' } : {}]),
        { tags },
      );
    await fill(0);
    const rounds = new Set<number>();
    for await (const [key] of store.entries({ tag: TAG })) {
      const round = Number.parseInt(key, 10);
      if (rounds.has(round) || rounds.size === 10) continue;
      rounds.add(round);
      await store.delete(`${round} 39`);
      await fill(round + 1);
    }
    expect([...rounds]).toEqual([0, 1, 2]);
  });
});
