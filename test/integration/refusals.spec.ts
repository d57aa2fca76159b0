import { rmSync } from 'node:fs';
import { inspect } from 'node:util';
import {
  CacheCommandError,
  CacheCorruptError,
  jsonSerializer,
  messagePackSerializer,
  type RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { encodeHead } from '../../lib/record/layout.js';
import { UNTAGGED } from '../support/arbitraries.js';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

describe('what Redis holds or refuses', () => {
  let server: RedisServer;
  let app: CacheApp;
  let store: RedisCacheStore;

  beforeAll(async () => {
    server = await RedisServer.start();
    app = await CacheApp.start(
      { url: server.url, namespace: 'a' },
      { namespace: 'json', serializer: jsonSerializer },
      { namespace: 'a', name: 'miss', onCorrupt: 'miss' },
    );
    ({ store } = app);
  });
  afterEach(async () => {
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    await server.cli('FLUSHALL');
  });
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  describe('a Redis without memory', () => {
    const expectFull = async (call: Promise<unknown>) => {
      const error = await reasonOf(call);
      expect(error).toBeInstanceOf(CacheCommandError);
      expect(error).toMatchObject({ reply: 'OOM', code: 'CACHE_COMMAND' });
      expect(inspect(error, { depth: null, showHidden: true })).not.toMatch(/secret/);
    };

    beforeEach(async () => {
      await store.putMany([
        ['old', 'value'],
        ['token', 'value'],
      ]);
      await store.put('tagged', 'value', { tags: ['user:42'] });
      await server.cli('CONFIG', 'SET', 'maxmemory', '1');
    });

    it('refuses writes with CacheCommandError, and stores nothing of them', async () => {
      await expectFull(store.put('secret', 'secret'));
      await expectFull(store.put('secret', 'secret', { tags: ['secret'] }));
      await expectFull(
        store.putMany([
          ['secret', 'secret'],
          ['secret2', 'secret'],
        ]),
      );
      await expectFull(store.putIfAbsent('secret', 'secret'));
      await expectFull(store.getOrPut('secret', () => 'secret'));
      await expectFull(store.replace('old', 'secret'));
      await expectFull(store.update('old', () => 'secret'));
      await server.cli('CONFIG', 'SET', 'maxmemory', '0');
      expect(await store.keys()).toEqual(['old', 'tagged', 'token']);
      expect(await store.get('old')).toBe('value');
      expect(await server.cli('EXISTS', 'a#secret')).toBe(0);
    });

    it('still reads, and still revokes: delete, take and deleteByTag work', async () => {
      expect(await store.get('old')).toBe('value');
      expect(await store.delete('old')).toBe(true);
      expect(await store.take('token')).toBe('value');
      expect(await store.deleteByTag('user:42')).toBe(1);
      expect(await store.keys()).toEqual([]);
    });

    it('still empties a namespace', async () => {
      expect(await store.clear()).toBe(3);
    });
  });

  it('a Redis that cannot save (MISCONF) refuses writes and deletions, and serves reads, also to those who connect now', async () => {
    const unsaved = await RedisServer.start();
    const open = () => CacheApp.start({ url: unsaved.url, timeout: '5s', startupTimeout: '5s' });
    const apps = [await open()];
    try {
      await apps[0]?.store.put('token', 1);
      rmSync(unsaved.dir, { recursive: true });
      await unsaved.cli('CONFIG', 'SET', 'save', '3600 1');
      await unsaved.cli('BGSAVE');
      await eventually(async () => expect(await unsaved.cli('INFO')).toContain('rdb_last_bgsave_status:err'));
      await unsaved.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      apps.push(await open());
      for (const { store: each, connection } of apps) {
        expect(await each.get('token')).toBe(1);
        const calls = [each.put('key', 1), each.delete('token'), each.take('token'), each.touch('token', '1h')];
        for (const call of [...calls, connection.ping()]) {
          expect(await reasonOf(call)).toMatchObject({ code: 'CACHE_COMMAND', reply: 'MISCONF' });
        }
      }
      await unsaved.cli('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no');
      expect(await apps[0]?.store.take('token')).toBe(1);
    } finally {
      for (const opened of apps) await opened.close();
      await unsaved.stop();
    }
  });

  describe('bytes that are no record of ours', () => {
    const good = Buffer.from(messagePackSerializer.serialize({ userId: 42, name: 'secret' }));
    const head = encodeHead(UNTAGGED, false);
    const tagged = { ...UNTAGGED, tags: ['secret'], incarnation: newIncarnation(0) };
    const foreign: [string, Buffer][] = [
      ['nothing', Buffer.alloc(0)],
      ['text', Buffer.from('secret')],
      ['JSON', Buffer.from('{"userId":42,"name":"secret"}')],
      ['MessagePack of somebody else', good],
      ['the mark alone', Buffer.from([0xc1])],
      ['a head without a payload', head],
      ['an earlier version', Buffer.concat([Buffer.from([0xc1, 0x10]), good])],
      ['a later version', Buffer.concat([Buffer.from([0xc1, 0x30]), head.subarray(2), good])],
      ['a truncated head', head.subarray(0, -1)],
      ['a head whose tags are cut off', encodeHead(tagged, false).subarray(0, -1)],
      ['a head that claims tags and has none', Buffer.concat([Buffer.from([0xc1, 0x28]), Buffer.alloc(22), good])],
      ['a truncated value', Buffer.concat([head, good.subarray(0, -1)])],
      ['a value with something behind it', Buffer.concat([head, good, Buffer.from([1])])],
      ['an encrypted record', Buffer.concat([encodeHead(UNTAGGED, true), Buffer.alloc(64)])],
      ['no value', Buffer.concat([head, Buffer.from([0xd4, 0, 0])])],
      ['an array of 2^32 elements', Buffer.concat([head, Buffer.from([0xdd, 255, 255, 255, 255])])],
    ];
    const expectCorrupt = async (call: Promise<unknown>) => {
      const error = await reasonOf(call);
      expect(error).toBeInstanceOf(CacheCorruptError);
      expect(inspect(error, { depth: null, showHidden: true })).not.toMatch(/secret/);
    };

    it.each(foreign)('%s: CacheCorruptError, never a value', async (_, bytes) => {
      await server.cli('SET', 'a:secret', bytes);
      await store.put('good', 1);
      await expectCorrupt(store.get('secret'));
      await expectCorrupt(store.getMany(['good', 'secret']));
      await expectCorrupt(store.update('secret', () => 1));
      await expectCorrupt(store.getOrPut('secret', () => 1));
      await expectCorrupt(
        (async () => {
          for await (const entry of store.entries({ prefix: 'secret' })) void entry;
        })(),
      );
      expect(await server.cli('EXISTS', 'a:secret')).toBe(1);
      await expectCorrupt(store.take('secret'));
    });

    it.each(foreign)('%s: absent where the store says so', async (_, bytes) => {
      const lenient = app.storeOf('miss');
      await server.cli('SET', 'a:key', bytes);
      expect(await lenient.get('key')).toBeUndefined();
      expect(await lenient.getMany(['key'])).toEqual([undefined]);
    });

    it.each(foreign.filter(([name]) => /JSON|version|mark/.test(name)))(
      '%s: is neither extended nor taken',
      async (_, bytes) => {
        await server.cli('SET', 'a:key', bytes, 'PX', 60_000);
        await expectCorrupt(store.touch('key'));
        await expectCorrupt(store.get('key', { touch: '1h' }));
        await expectCorrupt(store.take('key'));
        const lenient = app.storeOf('miss');
        expect([await lenient.touch('key', '1h'), await lenient.touch('key')]).toEqual([false, false]);
        expect(await lenient.take('key')).toBeUndefined();
        expect(Number(await server.cli('PTTL', 'a:key'))).toBeGreaterThan(0);
        expect(Number(await server.cli('PTTL', 'a:key'))).toBeLessThanOrEqual(60_000);
      },
    );

    it.each(foreign)('%s: can be seen, deleted and overwritten like any other record', async (_, bytes) => {
      await server.cli('SET', 'a:key', bytes);
      expect(await store.has('key')).toBe(true);
      expect(await store.ttl('key')).toBeNull();
      expect(await store.keys()).toEqual(['key']);
      expect(await store.delete('key')).toBe(true);
      await server.cli('SET', 'a:key', bytes);
      await store.put('key', 1);
      expect(await store.get('key')).toBe(1);
    });

    it('what is no JSON, in a store of JSON', async () => {
      for (const payload of [Buffer.from('{"name":"secret'), Buffer.from([0xff, 0xfe]), Buffer.from('secret')]) {
        await server.cli('SET', 'json:key', Buffer.concat([encodeHead(UNTAGGED, false), payload]));
        await expectCorrupt(app.storeOf('json').get('key'));
      }
    });
  });

  describe('a key of another type', () => {
    const expectWrongType = async (call: Promise<unknown>) => {
      const error = await reasonOf(call);
      expect(error).toBeInstanceOf(CacheCommandError);
      expect(error).toMatchObject({ reply: 'WRONGTYPE' });
    };

    it('is an error, never absence or a wrong value', async () => {
      await server.cli('RPUSH', 'a:list', 'element');
      await expectWrongType(store.get('list'));
      await expectWrongType(store.take('list'));
      await expectWrongType(store.update('list', () => 1));
      await expectWrongType(store.getOrPut('list', () => 1));
      expect(await store.putIfAbsent('list', 1)).toBe(false);
      expect(await server.cli('LLEN', 'a:list')).toBe(1);
    });

    it('is an error too when many gets go out in one command', async () => {
      await server.cli('HSET', 'a:hash', 'field', 'value');
      await store.putMany(Array.from({ length: 20 }, (_, i) => [`key ${i}`, i] as const));
      const names = Array.from({ length: 40 }, (_, i) => `key ${i}`); // half of them absent
      const results = await Promise.allSettled([...names, 'hash'].map((key) => store.get(key)));
      expect(results.at(-1)).toMatchObject({ status: 'rejected', reason: { reply: 'WRONGTYPE' } });
      // The others may share their neighbour's fate, but never get a wrong answer.
      const values = results.map((result, i) =>
        result.status === 'fulfilled' ? result.value : i < 20 ? i : undefined,
      );
      expect(values.slice(0, -1)).toEqual(names.map((_, i) => (i < 20 ? i : undefined)));
      await expectWrongType(store.getMany(['key 1', 'hash']));
    });

    it('can be deleted and overwritten', async () => {
      await server.cli('RPUSH', 'a:list', 'element');
      await server.cli('SADD', 'a:set', 'element');
      expect(await store.keys()).toEqual(['list', 'set']);
      await store.put('list', 1);
      expect(await store.get('list')).toBe(1);
      expect(await store.clear()).toBe(2);
    });
  });

  it('a user who may not write is told so', async () => {
    await server.cli('ACL', 'SETUSER', 'reader', 'on', '>pw', '~a:*', '+@read', '+ping', '+info');
    const reader = await CacheApp.start({ url: server.url.replace('//', '//reader:pw@'), namespace: 'a' });
    try {
      await store.put('key', 1);
      expect(await reader.store.get('key')).toBe(1);
      const error = await reasonOf(reader.store.put('key', 2));
      expect(error).toBeInstanceOf(CacheCommandError);
      expect(error).toMatchObject({ reply: 'NOPERM' });
    } finally {
      await reader.close();
    }
  });
});
