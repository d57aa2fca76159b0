import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';

/** What one reply brings at most, between others. */
const REPLY = 128 * 1024;
/** Of an untagged record, beside its value. */
const HEAD = 14;

const text = (size: number, letter = 'x') => letter.repeat(size);
/** As many bytes as the text has letters. */
const serializer = {
  serialize: (value: unknown) => Buffer.from(String(value)),
  deserialize: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
};

describe('A record that is larger than a reply should be', () => {
  let server: RedisServer;
  let app: CacheApp;
  let store: RedisCacheStore;
  beforeAll(async () => (server = await RedisServer.start()));
  beforeEach(async () => {
    app = await CacheApp.start({ url: server.url, timeout: 2000, ttl: '1h', serializer });
    ({ store } = app);
  });
  afterEach(async () => {
    await app.close();
    await server.cli('FLUSHALL');
  });
  afterAll(() => server?.stop());

  /** Ids of the connections of applications. */
  const connections = async (): Promise<string[]> => {
    const list = String(await server.cli('CLIENT', 'LIST')).split('\n');
    return list.flatMap((line) => (/cmd=client/.test(line) ? [] : (/^id=(\d+)/.exec(line)?.[1] ?? [])));
  };
  const large = text(REPLY);

  it.each([REPLY - 1, REPLY, REPLY + 1, REPLY + 2, 3 * REPLY])(
    'of %d bytes is read as it was written',
    async (size) => {
      const value = text(size - HEAD);
      await store.put('key', value);
      for (const _ of ['first', 'second']) {
        expect(await store.get('key')).toEqual(value);
        expect(await store.getMany(['key', 'absent', 'key'])).toEqual([value, undefined, value]);
      }
      for await (const { value: walked, ttl } of store.records()) expect([walked, ttl !== null]).toEqual([value, true]);
    },
  );

  it('is read over a connection of its own, which nothing else has opened', async () => {
    const [only] = await connections();
    await store.put('small', 'x');
    await store.get('small');
    await store.put('key', large);
    expect(await connections()).toEqual([only]);
    for (const _ of ['first', 'second']) await store.get('key');
    expect(await connections()).toEqual([only, expect.any(String)]);
  });

  it('is read over the connection for all where Redis takes no other', async () => {
    await store.put('key', large);
    const known = await connections();
    await server.cli('CONFIG', 'SET', 'maxclients', known.length + 1);
    try {
      expect(await store.get('key')).toEqual(large);
      expect(await connections()).toEqual(known);
    } finally {
      await server.cli('CONFIG', 'SET', 'maxclients', 1000);
    }
    await store.get('key');
    expect(await connections()).toHaveLength(known.length + 1);
  });

  it('is read again when its connection is lost, and when that was silent for long', async () => {
    await store.put('key', large);
    const [only = ''] = await connections();
    await store.get('key');
    const [, aside = ''] = await connections();
    await server.cli('CLIENT', 'KILL', 'ID', aside);
    expect(await store.get('key')).toEqual(large);
    const [, second = ''] = await connections();
    expect(second).not.toBe(aside);
    await sleep(2100); // `timeout` is over
    expect(await store.get('key')).toEqual(large);
    await eventually(async () => expect(await connections()).toEqual([only, expect.any(String)]));
    expect(await connections()).not.toContain(second);
  });

  it('loses its connection with the one for all, and gets another', async () => {
    await store.put('key', large);
    await store.get('key');
    const [only = '', aside = ''] = await connections();
    await server.cli('CLIENT', 'KILL', 'ID', only);
    expect(await store.get('key')).toEqual(large);
    await eventually(async () => expect(await connections()).not.toContain(aside));
    expect(await connections()).toHaveLength(2);
  });

  it('that is being read when the application closes is answered before, and leaves no connection', async () => {
    await store.put('key', large);
    await store.get('key');
    const read = store.get('key');
    await app.close();
    expect(await read).toEqual(large);
    await eventually(async () => expect(await connections()).toEqual([]));
  });

  it('may become small, absent and large again', async () => {
    for (const size of [2 * REPLY, 10, 2 * REPLY, 10]) {
      const value = text(size);
      await store.put('key', value);
      expect(await store.get('key')).toEqual(value);
      await store.delete('key');
      expect(await store.get('key')).toBeUndefined();
    }
  });

  it('is refused where "maxBytes" is lower', async () => {
    await store.put('key', text(3 * REPLY));
    for (const maxBytes of [REPLY - 1, REPLY, REPLY + 1, 2 * REPLY]) {
      const low = await CacheApp.start({ url: server.url, serializer, maxBytes });
      for (const _ of ['first', 'second'])
        await expect(low.store.get('key')).rejects.toThrow(`"maxBytes" (${maxBytes})`);
      await low.close();
    }
  });

  it('is kept by a near cache, until it changes', async () => {
    const near = await CacheApp.start({ url: server.url, serializer, nearCache: true, ttl: '1h' });
    await near.store.get('absent');
    for (const letter of ['a', 'b', 'c']) {
      await store.put('key', text(2 * REPLY, letter));
      await eventually(async () => expect(await near.store.get('key')).toBe(text(2 * REPLY, letter)));
      await eventually(async () => {
        const commands = await commandsDuring(server, () => near.store.get('key'));
        expect(commands).not.toHaveProperty('getrange');
      });
    }
    await near.close();
  });

  it('is read of a Cluster, from its owner', async () => {
    const cluster = await ClusterDeployment.start();
    const other = await CacheApp.start({ url: cluster.url, serializer, timeout: 2000 });
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    await other.store.putMany(keys.map((key) => [key, text(2 * REPLY, key)]));
    for (const _ of ['first', 'second']) {
      expect(await other.store.getMany(keys)).toEqual(keys.map((key) => text(2 * REPLY, key)));
    }
    await other.close();
    await cluster.stop();
  }, 60_000);
});
