import { readFileSync } from 'node:fs';
import { CacheCommandError } from 'nestjs-redis-cache-store';
import { Stage } from '../support/stage.js';

const rules =
  /^ACL SETUSER app on >secret (.*)$/m.exec(readFileSync('docs/operations.md', 'utf8'))?.[1]?.split(' ') ?? [];

describe('a user of Redis with the rules of the documentation', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.redis({ namespace: 'session', redis: { username: 'app', password: 'secret' } });
  });
  beforeEach(async () => {
    await stage.server.cli('FLUSHALL');
    await stage.server.cli('ACL', 'LOG', 'RESET');
    await stage.server.cli('CONFIG', 'SET', 'acl-pubsub-default', 'allchannels'); // as it is by default before Redis 7
    await stage.server.cli('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...rules);
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  /** Every kind of call once. */
  async function use(nearCache: boolean): Promise<void> {
    const store = await stage.open({ ttl: '1h', sliding: true, maxAge: '1d', nearCache });
    await store.put('a', 1);
    await store.put('b', 2, { tags: ['user:42'], limit: { tag: 'user:42', records: 5 } });
    await store.putMany([['c', 3]], { expiresAt: Date.now() + 60_000 });
    expect(await store.putIfAbsent('a', 2)).toBe(false);
    expect(await store.getMany(['a', 'b', 'c', 'd'])).toEqual([1, 2, 3, undefined]);
    expect([await store.get('a'), await store.get('d'), await store.has('a')]).toEqual([1, undefined, true]);
    await store.update('b', () => 4, { tags: ['user:42'] });
    await store.touch('b', '2h');
    await store.put('forever', 1, { ttl: null });
    await store.touch('forever');
    await stage.pass(10 * 60_000);
    expect(await store.get('a')).toBe(1);
    expect(await store.move('b', 'e', { grace: '1m' })).toBe(4);
    expect(await store.inspect('e')).toMatchObject({ value: 4, tags: ['user:42'] });
    expect((await store.keys({ tag: 'user:42' })).toSorted()).toEqual(['b', 'e']);
    await store.increment('hits', { limit: 1, block: { first: '1m' } });
    await store.resetCounter('hits');
    expect(await store.deleteByTag('user:42', { thorough: true })).toBe(2);
    expect(await store.take('a')).toBe(1);
    expect(await store.deleteIf('forever', () => true)).toBe(true);
    expect(await store.delete('a')).toBe(false);
    expect(await store.clear()).toBe(0); // the end of "c" has passed
  }

  it.each([false, true])('may do all that a store does, be there a near cache: %s', async (nearCache) => {
    expect(rules).not.toEqual([]);
    await use(nearCache);
    const denied = (await stage.server.cli('ACL', 'LOG')) as unknown[][];
    expect(denied.map((entry) => [entry[3], entry[7]])).toEqual([]);
  });

  it('may not touch what belongs to others', async () => {
    const other = await stage.open({ namespace: 'other' });
    await expect(other.put('a', 1)).rejects.toMatchObject({ reply: 'NOPERM' });
    await expect(other.delete('a')).rejects.toBeInstanceOf(CacheCommandError);
  });

  it('neither deletes nor takes without EVALSHA and EVAL', async () => {
    await stage.server.cli('ACL', 'SETUSER', 'app', '-evalsha', '-eval');
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1);
    await expect(store.delete('a')).rejects.toMatchObject({ reply: 'NOPERM' });
    await expect(store.take('a')).rejects.toMatchObject({ reply: 'NOPERM' });
    expect(await store.get('a')).toBe(1);
  });

  it('is told that it may not read, and of no corrupt record, where GETRANGE is forbidden', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('a', 1, { tags: ['user:42'] });
    await stage.server.cli('ACL', 'SETUSER', 'app', '-getrange');
    await expect(store.keys({ tag: 'user:42' })).rejects.toMatchObject({ reply: 'NOPERM' });
    await expect(store.deleteByTag('user:42')).rejects.toMatchObject({ reply: 'NOPERM' });
    await expect(store.get('a')).rejects.toMatchObject({ reply: 'NOPERM' });
    expect(await store.delete('a')).toBe(true); // a revocation needs no reading
  });
});
