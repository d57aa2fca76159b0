import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { NEVER } from '../../lib/backend/cache-backend.js';
import { HOUR, MINUTE } from '../contract/auth-contract.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';
import { uncovered } from '../support/tag-invariant.js';

const TAG = 'user:42';
const tags = [TAG];
const NAMESPACE = 'session';
const INDEX = `${NAMESPACE}#${TAG}`;

describe('the index of a tag in Redis', () => {
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

  const members = () => server.cli('ZRANGE', INDEX, 0, -1);
  const indexTtl = async () => Number(await server.cli('PTTL', INDEX));
  const addStranger = (member: string, score: number) => server.cli('ZADD', INDEX, score, member);

  it('expires no earlier than the last record of the tag, and not much later', async () => {
    await store.put('long', 1, { ttl: '10h', tags });
    for (const ttl of ['1m', '2h', '3h']) {
      await store.put(`short ${ttl}`, 1, { ttl, tags });
      expect(await uncovered(server, NAMESPACE, TAG)).toEqual([]);
      expect(await indexTtl()).toBeLessThan(10 * HOUR + MINUTE);
    }
    await store.touch('long', '20h');
    expect(await uncovered(server, NAMESPACE, TAG)).toEqual([]);
    expect(await indexTtl()).toBeLessThan(20 * HOUR + MINUTE);
    await stage.pass(21 * HOUR);
    expect(await server.cli('DBSIZE')).toBe(0);
  });

  it('of a user who never comes back leaves nothing behind, whatever became of the records', async () => {
    await store.put('deleted', 1, { ttl: '3h', tags });
    await store.put('taken', 1, { tags });
    await store.put('expired', 1, { ttl: '1m', tags });
    await store.put('retagged', 1, { tags });
    await store.delete('deleted');
    await store.take('taken');
    await store.put('retagged', 1, { tags: ['other'] });
    await store.deleteByTag(TAG);
    await stage.pass(3 * HOUR + MINUTE);
    expect(await server.cli('DBSIZE')).toBe(0);
  });

  it('never expires while a record is in it that never does', async () => {
    await store.put('endless', 1, { ttl: null, tags });
    await store.put('short', 1, { tags });
    expect(await indexTtl()).toBe(-1);
    await stage.pass(1000 * HOUR);
    expect(await store.deleteByTag(TAG)).toBe(1);
    expect(await store.keys()).toEqual([]);
  });

  it('goes with the records that would never expire, or their traces would stay for ever', async () => {
    await store.put('endless', 1, { ttl: null, tags });
    await stage.pass(HOUR);
    await store.deleteByTag(TAG);
    expect(await server.cli('DBSIZE')).toBe(0);
  });

  it('is trimmed of dead members as writes go by', async () => {
    await store.put('long', 1, { ttl: '5h', tags });
    await store.put('a', 1, { tags });
    await store.put('b', 1, { tags });
    await store.delete('b');
    expect(await members()).toHaveLength(3);
    await stage.pass(2 * HOUR);
    await store.touch('long', '5h');
    expect(await members()).toEqual(['long']);
  });

  it('is trimmed of dead members as listings go by', async () => {
    await store.put('long', 1, { ttl: '5h', tags });
    await store.put('short', 1, { tags });
    await stage.pass(2 * HOUR);
    expect(await store.keys({ tag: TAG })).toEqual(['long']);
    expect(await members()).toEqual(['long']);
  });

  it('is trimmed by listings of members for ever whose records are gone, unless a put may be about to write them', async () => {
    await store.put('long', 1, { ttl: '5h', tags });
    await store.put('endless', 1, { ttl: null, tags });
    await addStranger('dead', NEVER + Date.now() - HOUR);
    await addStranger('on its way', NEVER + Date.now());
    expect(await store.keys({ tag: TAG })).toEqual(['endless', 'long']);
    expect(await members()).toHaveLength(3);
    await store.delete('endless');
    await stage.pass(HOUR);
    expect(await store.keys({ tag: TAG })).toEqual(['long']);
    expect(await members()).toEqual(['long']);
    expect(await indexTtl()).toBeGreaterThan(3 * HOUR); // and expires again, since nobody in it is for ever
    expect(await indexTtl()).toBeLessThan(5 * HOUR);
  });

  it('keeps a member for ever that is being written again, with whatever ttl', async () => {
    await addStranger('key', NEVER + Date.now() - HOUR); // of an earlier life
    // A put that died, or is still on its way, after the first of its two writes.
    await server.cli('ACL', 'SETUSER', 'default', '-set');
    await expect(store.put('key', 2, { ttl: '2h', tags })).rejects.toMatchObject({ reply: 'NOPERM' });
    await server.cli('ACL', 'SETUSER', 'default', '+set');
    await store.keys({ tag: TAG });
    expect(await members()).toEqual(['key']);
  });

  it('keeps a member for ever whose record is there, however old, for listings to find', async () => {
    await store.put('endless', 1, { ttl: null, tags });
    await stage.pass(1000 * HOUR);
    await store.update('endless', () => 2);
    for (let looks = 0; looks < 3; looks++) expect(await store.keys({ tag: TAG })).toEqual(['endless']);
    expect(await uncovered(server, NAMESPACE, TAG)).toEqual([]);
  });

  it.each<[string, (store: RedisCacheStore) => Promise<unknown>]>([
    ['put', (s) => s.put('key', 1, { tags })],
    ['putMany', (s) => s.putMany([['key', 1]], { tags })],
    ['putIfAbsent', (s) => s.putIfAbsent('key', 1, { tags })],
    ['getOrPut', (s) => s.getOrPut('key', () => 1, { tags })],
  ])('holds against a %s that died between its two writes', async (_, write) => {
    await store.put('neighbour', 1, { tags });
    await server.cli('ACL', 'SETUSER', 'default', '-set');
    await expect(write(store)).rejects.toMatchObject({ reply: 'NOPERM' });
    await server.cli('ACL', 'SETUSER', 'default', '+set');
    expect(await members()).toContain('key'); // the index was first
    expect(await store.keys({ tag: TAG })).toEqual(['neighbour']);
    expect(await store.deleteByTag(TAG)).toBe(1);
    await write(store);
    expect(await store.deleteByTag(TAG)).toBe(1);
    expect(await store.keys()).toEqual([]);
  });

  it('names a key of another type without being misled by it, or losing the others', async () => {
    for (let i = 0; i < 10; i++) await store.put(`mine ${i}`, i, { tags });
    await server.cli('RPUSH', `${NAMESPACE}:list`, 'x');
    await server.cli('SET', `${NAMESPACE}:text`, 'x');
    await addStranger('list', Date.now() + HOUR);
    await addStranger('text', Date.now() + HOUR);
    expect(await store.keys({ tag: TAG })).toHaveLength(10);
    expect(await store.deleteByTag(TAG)).toBe(10);
    expect(await store.keys()).toEqual(['list', 'text']);
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
    const score = Date.now() + HOUR;
    await server.cli('ZADD', INDEX, ...keys.flatMap((key) => [score, key]));
    expect(await store.keys({ tag: TAG })).toEqual(keys);
    expect(await store.deleteByTag(TAG)).toBe(keys.length);
  });

  it('lets sessions be revoked while Redis is out of memory', async () => {
    await store.put('key', 1, { tags });
    await server.cli('CONFIG', 'SET', 'maxmemory', 1);
    try {
      await expect(store.put('another', 1, { tags })).rejects.toMatchObject({ reply: 'OOM' });
      expect(await store.deleteByTag(TAG)).toBe(1);
    } finally {
      await server.cli('CONFIG', 'SET', 'maxmemory', 0);
    }
    expect(await store.keys()).toEqual([]);
  });

  it('is never read for a record without tags, nor by a plain get', async () => {
    await store.put('plain', 1);
    await store.touch('plain');
    await store.replace('plain', 2, { ttl: '2h' });
    await store.put('key', 1, { tags });
    await server.cli('DEL', INDEX);
    await store.get('key');
    expect(await server.cli('KEYS', '*#*')).toEqual([]);
  });
});
