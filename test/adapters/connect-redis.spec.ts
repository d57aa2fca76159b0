import type { INestApplication } from '@nestjs/common';
import { RedisStore } from 'connect-redis';
import RedisStore7 from 'connect-redis-7';
import { RedisStore as RedisStore8 } from 'connect-redis-8';
import { RedisStore as RedisStore9 } from 'connect-redis-9';
import type { SessionData } from 'express-session';
import { CacheCorruptError, RedisCacheStore, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { createClient } from 'redis';
import { sessionsOf } from '../../lib/express-session/connect-redis.js';
import { gate } from '../support/gate.js';
import { Stage } from '../support/stage.js';
import { Browser, SessionController, startSessions } from './session-stage.js';

const KEY = 'a key of the tests, as base64 says it'.slice(0, 32);

describe('a rolling deploy from connect-redis', () => {
  let stage: Stage;
  let client: ReturnType<typeof createClient>;
  /** An instance as it was, one as it is to be, and one that forgot the option. */
  let old: INestApplication;
  let next: INestApplication;
  let browser: Browser;

  const reading = (app: INestApplication) =>
    new RedisCacheSessionStore(app.get(RedisCacheStore), { legacy: 'connect-redis' });
  const start = (options: RedisCacheModuleOptions = {}) => startSessions({ url: stage.url, ...options }, reading);
  const bytes = () => client.get(`sess:${browser.id}`);

  beforeAll(async () => {
    stage = await Stage.redis();
    client = createClient({ url: stage.url });
    client.on('error', () => undefined);
    await client.connect();
    old = await startSessions({ url: 'memory:' }, () => new RedisStore({ client }));
    next = await start();
  });
  beforeEach(async () => {
    await stage.server.cli('FLUSHALL');
    browser = new Browser();
    SessionController.arrived = gate();
    SessionController.leave = gate();
  });
  afterEach(() => stage.clean());
  afterAll(async () => {
    client.destroy();
    await Promise.all([old, next].map((app) => app.close()));
    await stage.stop();
  });

  it('keeps everybody signed in, under the same keys', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    const { cookie, id } = browser;
    expect((await browser.ask(next, 'get', '/')).body).toEqual({ user: 'ann' });
    expect((await browser.ask(next, 'post', '/visit')).body).toEqual({ visits: 1 });
    expect((await browser.ask(next, 'get', '/')).body).toEqual({ user: 'ann', visits: 1 });
    expect([browser.cookie, await stage.server.cli('KEYS', '*')]).toEqual([cookie, [`sess:${id}`]]);
  });

  it.each([
    { version: 7, OldStore: RedisStore7 },
    { version: 8, OldStore: RedisStore8 },
    { version: 9, OldStore: RedisStore9 },
    { version: 10, OldStore: RedisStore },
  ])('reads the sessions of connect-redis $version, which may have no end in Redis', async ({ OldStore }) => {
    for (const disableTTL of [false, true]) {
      const app = await startSessions({ url: 'memory:' }, () => new OldStore({ client, disableTTL }));
      const visitor = new Browser();
      await visitor.ask(app, 'post', '/login?user=ann');
      const left = async () => Number(await stage.server.cli('PTTL', `sess:${visitor.id}`));
      expect((await left()) < 0).toBe(disableTTL);
      expect((await visitor.ask(next, 'post', '/visit')).body).toEqual({ visits: 1 });
      expect((await visitor.ask(next, 'get', '/')).body).toEqual({ user: 'ann', visits: 1 });
      expect(await left()).toBeGreaterThan(0);
      await app.close();
    }
  });

  it('leaves JSON until a session is saved or touched, and then writes a record', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    const store = reading(next);
    await store.get(browser.id);
    expect(await bytes()).toMatch(/^\{/);
    await browser.ask(next, 'get', '/');
    expect(await bytes()).not.toMatch(/^\{/);
    // Not even the option is needed any more.
    expect(await next.get(RedisCacheStore).get(browser.id)).toMatchObject({ user: 'ann' });
  });

  it('extends JSON as it lies there when a sliding store reads or touches it, and takes it once', async () => {
    const sliding = await start({ sliding: true, ttl: '3d' });
    try {
      const legacy = sessionsOf(sliding.get(RedisCacheStore), { legacy: 'connect-redis' });
      const left = async () => Number(await stage.server.cli('PTTL', `sess:${browser.id}`));
      await browser.ask(old, 'post', '/login?user=ann');
      for (const extend of [() => legacy.get(browser.id), () => legacy.touch(browser.id)]) {
        await stage.server.cli('PEXPIRE', `sess:${browser.id}`, 60_000);
        await extend();
        expect(await left()).toBeGreaterThan(60_000);
      }
      await legacy.touch(browser.id, '1h');
      expect(await left()).toBeLessThanOrEqual(3_600_000);
      expect(await bytes()).toMatch(/^\{/);
      const taken = await Promise.all(Array.from({ length: 10 }, () => legacy.take(browser.id)));
      expect(taken.filter(Boolean)).toMatchObject([{ user: 'ann' }]);
      expect(await left()).toBe(-2);
    } finally {
      await sliding.close();
    }
  });

  it('reads the moments of a cookie as Dates, and keeps the end of a session', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    const ttl = Number(await stage.server.cli('PTTL', `sess:${browser.id}`));
    const found = await reading(next).get(browser.id);
    expect(found?.cookie.expires).toBeInstanceOf(Date);
    await browser.ask(next, 'post', '/visit');
    expect(Math.abs(Number(await stage.server.cli('PTTL', `sess:${browser.id}`)) - ttl)).toBeLessThan(60_000);
  });

  it('regenerates, lists and destroys sessions of either kind', async () => {
    await browser.ask(old, 'post', '/visit');
    const other = new Browser();
    await other.ask(next, 'post', '/login?user=bob');
    const all = await reading(next).all();
    expect(all.map(({ id }) => id).toSorted()).toEqual([browser.id, other.id].toSorted());
    await browser.ask(next, 'post', '/login?user=ann');
    expect((await browser.ask(next, 'get', '/')).body).toEqual({ user: 'ann' });
    await browser.ask(next, 'post', '/logout');
    await other.ask(next, 'post', '/logout');
    expect(await stage.server.cli('DBSIZE')).toBe(0);
  });

  it('does not revive a session of connect-redis that is destroyed while a slow request of a new instance holds it', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    const slow = browser.ask(next, 'post', '/slow');
    await SessionController.arrived.promise;
    await new Browser().ask(old, 'get', '/');
    const other = Object.assign(new Browser(), { cookie: browser.cookie });
    await other.ask(old, 'post', '/logout');
    SessionController.leave.open();
    await slow;
    expect(await stage.server.cli('DBSIZE')).toBe(0);
  });

  it('cannot keep an old instance from reviving a session that is destroyed while its slow request holds it', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    const slow = browser.ask(old, 'post', '/slow');
    await SessionController.arrived.promise;
    await Object.assign(new Browser(), { cookie: browser.cookie }).ask(next, 'post', '/logout');
    expect(await stage.server.cli('DBSIZE')).toBe(0);
    SessionController.leave.open();
    await slow;
    expect(await bytes()).toMatch(/^\{/);
  });

  it('back: an old instance answers 500 to a session that a new one has rewritten', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    await browser.ask(next, 'post', '/visit');
    expect((await browser.ask(old, 'get', '/')).status).toBe(500);
    // Nothing is lost by it.
    expect((await browser.ask(next, 'get', '/')).body).toEqual({ user: 'ann', visits: 1 });
  });

  it('back: an old instance whose serializer takes what is no JSON for no session asks for a new login', async () => {
    const serializer = {
      stringify: JSON.stringify,
      parse: (text: string) =>
        text.startsWith('{') ? (JSON.parse(text) as SessionData) : (null as unknown as SessionData),
    };
    const prepared = await startSessions({ url: 'memory:' }, () => new RedisStore({ client, serializer }));
    await browser.ask(old, 'post', '/login?user=ann');
    await browser.ask(next, 'post', '/visit');
    expect(await browser.ask(prepared, 'get', '/')).toMatchObject({ status: 200, body: {} });
    await browser.ask(prepared, 'post', '/login?user=ann');
    // And forth again.
    expect((await browser.ask(next, 'get', '/')).body).toEqual({ user: 'ann' });
    await prepared.close();
  });

  it('without the option, and for other bytes with it, answers that the record is corrupt', async () => {
    await browser.ask(old, 'post', '/login?user=ann');
    const store = next.get(RedisCacheStore);
    await expect(new RedisCacheSessionStore(store).get(browser.id)).rejects.toThrow(CacheCorruptError);
    for (const text of ['', '{', '[]', 'null', '{"user":1}', '{"cookie":null}', '"text"', '\xC1\xFF']) {
      await client.set('sess:x', text);
      await expect(reading(next).get('x')).rejects.toThrow(CacheCorruptError);
    }
  });

  it('seals sessions of connect-redis as they are saved, in an encrypted store that accepts plain records, and in no other', async () => {
    const keys = [Buffer.from(KEY)];
    const sealed = await start({ encryption: { keys, acceptPlain: true } });
    const strict = await start({ encryption: { keys } });
    await browser.ask(old, 'post', '/login?user=ann');
    await expect(reading(strict).get(browser.id)).rejects.toThrow(CacheCorruptError);
    const hashed = await start({ encryption: { keys }, hashKeys: true });
    expect(await reading(hashed).get(browser.id)).toBeNull();
    expect((await browser.ask(sealed, 'post', '/visit')).body).toEqual({ visits: 1 });
    expect(await bytes()).not.toContain('ann');
    expect((await browser.ask(sealed, 'get', '/')).body).toEqual({ user: 'ann', visits: 1 });
    expect((await browser.ask(strict, 'get', '/')).body).toEqual({ user: 'ann', visits: 1 });
    await Promise.all([sealed, strict, hashed].map((app) => app.close()));
  });

  it('moves and replaces sessions of connect-redis in stores with a near cache, a sliding ttl and a largest age', async () => {
    const app = await start({ nearCache: true, sliding: true, maxAge: '12h' });
    await browser.ask(old, 'post', '/visit');
    expect((await browser.ask(app, 'post', '/visit')).body).toEqual({ visits: 2 });
    expect((await browser.ask(app, 'post', '/login?user=ann')).status).toBe(201);
    expect((await browser.ask(app, 'get', '/')).body).toEqual({ user: 'ann' });
    await app.close();
  });
});
