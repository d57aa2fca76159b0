import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { HOUR, MINUTE } from '../contract/auth-contract.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';

const TAG = 'user:42';
const tags = [TAG];
const NAMESPACE = 'session';
const INDEX = `${NAMESPACE}#${TAG}`;

type Act = [string, (store: RedisCacheStore) => Promise<unknown>];

const WRITES: Act[] = [
  ['put', (s) => s.put('new', 1, { tags })],
  ['putMany', (s) => s.putMany([['new', 1]], { tags })],
  ['putIfAbsent', (s) => s.putIfAbsent('new', 1, { tags })],
  ['getOrPut', (s) => s.getOrPut('new', () => 1, { tags })],
  ['move', (s) => s.move('old', 'new')],
];
const EXTENSIONS: Act[] = [
  ['replace with a ttl', (s) => s.replace('old', 2, { ttl: '2h' })],
  ['replace with tags', (s) => s.replace('old', 2, { tags })],
  ['update with tags', (s) => s.update('old', () => 2, { tags })],
  ['touch', (s) => s.touch('old', '2h')],
  ['get with touch', (s) => s.get('old', { touch: '2h' })],
];
const DELETIONS: Act[] = [
  ['delete', (s) => s.delete('old')],
  ['deleteMany', (s) => s.deleteMany(['old'])],
  ['deleteIf', (s) => s.deleteIf('old', () => true)],
  ['take', (s) => s.take('old')],
  ['move', (s) => s.move('old', 'new')],
  ['deleteByTag', (s) => s.deleteByTag(TAG)],
  ['clear', (s) => s.clear()],
];

describe('a record and the index of its tag', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  beforeAll(async () => {
    stage = await Stage.redis();
    ({ server } = stage);
    store = await stage.open({ namespace: NAMESPACE, ttl: '1h' });
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    await store.put('old', 1, { tags });
  });
  afterAll(() => stage?.stop());

  /** What Redis carries out meanwhile, in its order, as `name key`; what scripts do included. */
  async function seenDuring(action: () => Promise<unknown>): Promise<string[]> {
    const monitor = await server.client().monitor();
    const seen: string[] = [];
    const end = new Promise<void>((resolve) => {
      monitor.on('monitor', (_: string, [name = '', key = '']: string[]) => {
        seen.push(`${name.toLowerCase()} ${key}`);
        if (seen.at(-1) === 'echo end') resolve();
      });
    });
    await action();
    await server.cli('ECHO', 'end');
    await end;
    monitor.disconnect();
    return seen;
  }

  it.each(WRITES)('are written by %s in this order: index, record', async (_, act) => {
    const seen = await seenDuring(() => act(store));
    expect(seen).toContain(`zadd ${INDEX}`);
    expect(seen.indexOf(`zadd ${INDEX}`)).toBeLessThan(seen.indexOf(`set ${NAMESPACE}:new`));
  });

  it.each(EXTENSIONS)('are extended or changed by %s in this order: index, record', async (_, act) => {
    const seen = await seenDuring(() => act(store));
    const written = ['set', 'pexpireat'].map((name) => seen.indexOf(`${name} ${NAMESPACE}:old`));
    expect(seen).toContain(`zadd ${INDEX}`);
    expect(seen.lastIndexOf(`zadd ${INDEX}`)).toBeLessThan(Math.max(...written));
  });

  it.each(DELETIONS)('are deleted by %s in this order: record, entry; and never by DEL', async (_, act) => {
    const seen = await seenDuring(() => act(store));
    expect(seen).toContain(`unlink ${NAMESPACE}:old`);
    expect(seen.indexOf(`unlink ${NAMESPACE}:old`)).toBeLessThan(seen.indexOf(`zrem ${INDEX}`));
    expect(seen.filter((line) => /^(del|getdel|flush\w+|keys) /.test(line))).toEqual([]);
  });

  it.each(DELETIONS.filter(([name]) => name !== 'move'))(
    'are deleted by %s without the entry of a put under the same key that is on its way',
    async (_, act) => {
      const onItsWay = `${newIncarnation(Date.now() + MINUTE)}old`;
      await server.cli('ZADD', INDEX, Date.now() + HOUR, onItsWay);
      await act(store);
      expect(await server.cli('ZRANGE', INDEX, 0, -1)).toEqual([onItsWay]);
    },
  );

  it.each([
    ['touch', (s: RedisCacheStore) => s.touch('old')],
    ['replace', (s: RedisCacheStore) => s.replace('old', 2)],
    ['update', (s: RedisCacheStore) => s.update('old', () => 2)],
  ])('stay tied to each other over %s, which makes no new entry', async (_, act) => {
    const before = await server.cli('ZRANGE', INDEX, 0, -1);
    await act(store);
    expect(await server.cli('ZRANGE', INDEX, 0, -1)).toEqual(before);
  });

  it('go without DEL, as counters do', async () => {
    await store.increment('counter');
    await store.increment('other');
    const seen = await seenDuring(async () => [await store.resetCounter('counter'), await store.clear()]);
    expect(seen).toContain(`unlink ${NAMESPACE}+counter`);
    expect(seen).toContain(`unlink ${NAMESPACE}+other`);
    expect(seen.filter((line) => /^(del|flush\w+|keys) /.test(line))).toEqual([]);
  });
});
