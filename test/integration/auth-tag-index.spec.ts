import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
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

  /** The ids that the index names. */
  const members = async () =>
    ((await server.cli('ZRANGE', INDEX, 0, -1)) as string[]).map((member) => member.slice(11));
  const indexTtl = async () => Number(await server.cli('PTTL', INDEX));
  /** A member of a put that was over at that moment, whose record never came. */
  const addStranger = (id: string, over: number, score: number | string = '+inf') =>
    server.cli('ZADD', INDEX, score, `${newIncarnation(over)}${id}`);

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

  it.each<[string, (s: RedisCacheStore) => Promise<unknown>]>([
    ['delete', (s) => s.delete('key')],
    ['deleteMany', (s) => s.deleteMany(['key'])],
    ['deleteIf', (s) => s.deleteIf('key', () => true)],
    ['take', (s) => s.take('key')],
    ['move', (s) => s.move('key', 'new').then(() => s.delete('new'))],
    ['move with a grace', (s) => s.move('key', 'new', { grace: '1m' }).then(() => s.deleteMany(['key', 'new']))],
    ['deleteByTag', (s) => s.deleteByTag(TAG)],
    ['deleteByTag of another tag', (s) => s.deleteByTag('admin')],
    ['clear', (s) => s.clear()],
    ['put with other tags', (s) => s.put('key', 2, { tags: ['other'] }).then(() => s.delete('key'))],
    ['replace with other tags', (s) => s.replace('key', 2, { tags: ['other'] }).then(() => s.take('key'))],
    ['replace without tags', (s) => s.replace('key', 2, { tags: [] }).then(() => s.delete('key'))],
  ])('is left by a record that is gone by %s, with and without a ttl', async (_, remove) => {
    for (const ttl of ['30d', null]) {
      await store.put('key', 1, { ttl, tags: [TAG, 'admin'] });
      expect(await members()).toEqual(['key']);
      await remove(store);
      expect(await server.cli('DBSIZE')).toBe(0);
    }
  });

  it('names a record that is put again and again once', async () => {
    for (let i = 0; i < 5; i++) await store.put('key', i, { ttl: ['1h', null, '5h'][i % 3] ?? null, tags });
    await store.putMany(
      Array.from({ length: 5 }, (_, i) => ['key', i] as const),
      { tags },
    );
    await store.replace('key', 2, { tags });
    expect(await members()).toEqual(['key']);
    expect(await uncovered(server, NAMESPACE, TAG)).toEqual([]);
  });

  it('is left at once by a putIfAbsent that came too late', async () => {
    await store.put('key', 1);
    expect(await store.putIfAbsent('key', 2, { tags })).toBe(false);
    expect(await members()).toEqual([]);
  });

  it('does not keep a record from being deleted, taken or overwritten where it cannot be reached', async () => {
    for (const key of ['key', 'token', 'overwritten']) await store.put(key, 1, { tags });
    await server.cli('SET', INDEX, 'of another type');
    expect(await store.delete('key')).toBe(true);
    expect(await store.take('token')).toBe(1);
    await store.put('overwritten', 2, { tags: ['other'] });
    expect(await store.keys()).toEqual(['overwritten']);
  });

  it('of a user who never comes back expires with the last record, whatever became of the others', async () => {
    await store.put('expired', 1, { ttl: '1m', tags });
    await store.put('evicted', 1, { ttl: '3h', tags });
    await server.cli('DEL', `${NAMESPACE}:evicted`);
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

  it.each<[string, (s: RedisCacheStore) => Promise<unknown>]>([
    ['writes', (s) => s.touch('long', '50h')],
    ['listings', (s) => s.keys({ tag: TAG })],
    ['deletions', (s) => s.delete('doomed')],
  ])('is trimmed of members whose moment has passed as %s go by', async (_, act) => {
    await store.put('long', 1, { ttl: '50h', tags });
    await store.put('doomed', 1, { ttl: '50h', tags });
    await store.put('a', 1, { tags });
    await store.put('b', 1, { tags });
    await stage.pass(2 * HOUR);
    expect(await members()).toHaveLength(4);
    await act(store);
    expect(await members()).not.toContain('a');
    expect(await members()).not.toContain('b');
  });

  it('is trimmed by walks of members whose records are gone, unless a put may be about to write them', async () => {
    await store.put('long', 1, { ttl: '5h', tags });
    await store.put('evicted', 1, { ttl: null, tags });
    await server.cli('DEL', `${NAMESPACE}:evicted`);
    await addStranger('dead', Date.now() - HOUR);
    await addStranger('dead, too', Date.now() - HOUR, Date.now() + 10 * HOUR);
    await addStranger('of a clock that is wrong', Date.now() + 1000 * HOUR);
    await server.cli('ZADD', INDEX, '+inf', 'odd');
    expect(await store.keys({ tag: TAG })).toEqual(['long']);
    expect((await members()).toSorted()).toEqual(['evicted', 'long']);
    await stage.pass(MINUTE); // by when any put would be over
    await addStranger('on its way', Date.now() + MINUTE);
    expect(await store.keys({ tag: TAG })).toEqual(['long']);
    expect((await members()).toSorted()).toEqual(['long', 'on its way']);
    expect(await store.deleteByTag(TAG)).toBe(1);
    expect(await members()).toEqual(['on its way']);
  });

  it('expires again once nobody is in it for ever', async () => {
    await store.put('long', 1, { ttl: '5h', tags });
    await store.put('endless', 1, { ttl: null, tags });
    await store.delete('endless');
    expect(await indexTtl()).toBeGreaterThan(3 * HOUR);
    expect(await indexTtl()).toBeLessThan(5 * HOUR + MINUTE);
  });

  it('is cleared with the namespace of what is left over in it', async () => {
    await store.put('evicted', 1, { ttl: null, tags });
    await server.cli('DEL', `${NAMESPACE}:evicted`);
    await stage.pass(MINUTE);
    expect(await store.clear()).toBe(0);
    expect(await server.cli('DBSIZE')).toBe(0);
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
  ])(
    'holds against a %s whose record was refused, and against one that died between its two writes',
    async (_, write) => {
      await store.put('neighbour', 1, { tags });
      await server.cli('ACL', 'SETUSER', 'default', '-set');
      await expect(write(store)).rejects.toMatchObject({ reply: 'NOPERM' });
      await server.cli('ACL', 'SETUSER', 'default', '+set');
      expect(await members()).toEqual(['neighbour']); // the entry was first, and was taken back
      await addStranger('key', Date.now() + MINUTE);
      expect(await store.keys({ tag: TAG })).toEqual(['neighbour']);
      expect(await store.deleteByTag(TAG)).toBe(1);
      await write(store);
      expect(await store.deleteByTag(TAG)).toBe(1);
      expect(await store.keys()).toEqual([]);
    },
  );

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
