import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { expectTtl, HOUR, MINUTE } from '../contract/auth-contract.js';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';
import { uncovered } from '../support/tag-invariant.js';

const READS = ['get', 'getrange', 'pttl', 'mget'];

describe('sliding reads in Redis', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  beforeAll(async () => {
    stage = await Stage.redis();
    ({ server } = stage);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    store = await stage.open({ ttl: '1h', sliding: true });
    await store.put('key', 1, { tags: ['user:42'] });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  it('write nothing until a tenth of the ttl has passed, then once', async () => {
    const read = () =>
      commandsDuring(server, async () => {
        for (let reads = 0; reads < 20; reads++) expect(await store.get('key')).toBe(1);
      });
    const writes = (counts: Record<string, number>) => Object.keys(counts).filter((name) => !READS.includes(name));
    await stage.pass(5 * MINUTE);
    expect(writes(await read())).toEqual([]);
    await stage.pass(2 * MINUTE);
    // Of index and record.
    expect(await read()).toMatchObject({ pexpireat: 2, zadd: 1 });
    expect(writes(await read())).toEqual([]);
  });

  it('extend a record from before there was a maxAge by its age, whoever changed it since', async () => {
    const aged = await stage.open({ namespace: store.namespace, ttl: '1h', sliding: true, maxAge: '2h' });
    await stage.pass(50 * MINUTE);
    await aged.update('key', () => 2);
    expect(await aged.get('key')).toBe(2);
    await stage.pass(50 * MINUTE);
    expect(await aged.get('key')).toBe(2);
    await expectTtl(aged, 'key', 20 * MINUTE);
    await stage.pass(21 * MINUTE);
    expect(await aged.get('key')).toBeUndefined();
  });

  it('are one round trip: value and ttl are asked for before any reply has come', async () => {
    const proxy = await TcpProxy.start(server);
    try {
      const remote = await stage.open({ url: proxy.url, namespace: store.namespace, ttl: '1h', sliding: true });
      await server.cli('CONFIG', 'RESETSTAT');
      proxy.stallReplies();
      const reading = remote.get('key');
      await eventually(async () => {
        const info = String(await server.cli('INFO', 'commandstats'));
        expect(info).toMatch(/cmdstat_get(range)?:calls=1/);
        expect(info).toContain('cmdstat_pttl:calls=1');
      });
      await proxy.resume();
      expect(await reading).toBe(1);
    } finally {
      await stage.clean();
      await proxy.stop();
    }
  });

  it('extend index before record', async () => {
    await stage.pass(30 * MINUTE);
    const monitor = await server.client().monitor();
    const seen: string[] = [];
    const logged = new Promise<void>((resolve) => {
      monitor.on('monitor', (_time: string, [name = '']: string[]) => {
        seen.push(name.toLowerCase());
        if (name.toLowerCase() === 'pexpireat' && seen.filter((command) => command === 'pexpireat').length === 2)
          resolve();
      });
    });
    await store.get('key');
    await logged;
    monitor.disconnect();
    // Both expiries, of the index and of the record, are set by pexpireat: the index entry comes before the last.
    expect(seen.lastIndexOf('zadd')).toBeLessThan(seen.lastIndexOf('pexpireat'));
    expect(seen).toContain('zadd');
  });

  it('give the value although Redis is out of memory; the record keeps its running ttl', async () => {
    await stage.pass(30 * MINUTE);
    await server.cli('CONFIG', 'SET', 'maxmemory', 1);
    try {
      expect(await store.get('key')).toBe(1);
      expect(await store.getOrPut('key', () => 2)).toBe(1);
      await expect(store.touch('key')).rejects.toMatchObject({ reply: 'OOM' });
    } finally {
      await server.cli('CONFIG', 'SET', 'maxmemory', 0);
    }
    await expectTtl(store, 'key', HOUR / 2);
    expect(await uncovered(server, store.namespace, 'user:42')).toEqual([]);
  });

  it('give the value to a user who may not write', async () => {
    await server.cli('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@read', '+@connection', '+info', '+select');
    const url = stage.url.replace('//', '//reader:secret@');
    const reader = await stage.open({ url, namespace: store.namespace, ttl: '1h', sliding: true });
    await stage.pass(30 * MINUTE);
    expect(await reader.get('key')).toBe(1);
    await expect(reader.touch('key')).rejects.toMatchObject({ reply: 'NOPERM' });
    await expectTtl(store, 'key', HOUR / 2);
  });

  it('give the value on a server that has become a read-only replica', async () => {
    const master = await RedisServer.start();
    try {
      await stage.pass(30 * MINUTE);
      const dump = await server.client().dumpBuffer(`${store.namespace}:key`);
      await master.cli('RESTORE', `${store.namespace}:key`, HOUR / 2, dump);
      await server.cli('REPLICAOF', '127.0.0.1', master.port);
      await eventually(async () => expect(await server.cli('INFO', 'replication')).toContain('master_link_status:up'));
      expect(await store.get('key')).toBe(1);
      await expect(store.touch('key')).rejects.toMatchObject({ reply: 'READONLY' });
    } finally {
      await server.cli('REPLICAOF', 'NO', 'ONE');
      await master.stop();
    }
  });
});

describe('getOrPut without Redis', () => {
  let stage: Stage;
  beforeAll(async () => (stage = await Stage.redis()));
  afterAll(() => stage?.stop());

  it('throws on an outage, for each of 100 callers, and runs no load', async () => {
    const store = await stage.open({ timeout: 500 });
    let loads = 0;
    await stage.server.kill9();
    try {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 100 }, () => store.getOrPut('key', () => ++loads)),
      );
      for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'CACHE_UNAVAILABLE' } });
      expect(loads).toBe(0);
    } finally {
      await stage.server.restart();
    }
  });

  it('throws when the load has run and Redis is gone, rather than to say what is not stored', async () => {
    const store = await stage.open({ timeout: 500 });
    try {
      const loading = store.getOrPut('key', async () => {
        await stage.server.kill9();
        return 'loaded';
      });
      await expect(loading).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE' });
    } finally {
      await stage.server.restart();
    }
  });
});
