import { MemoryStore, type SessionData } from 'express-session';
import { CacheArgumentError, CacheUnavailableError, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { Stage } from '../support/stage.js';
import { sessionContract } from './session-contract.js';
import { Browser, COOKIE_AGE, startSessions } from './session-stage.js';

const { jest } = import.meta;

const data = (fields: object, age = COOKIE_AGE): SessionData => ({
  cookie: { originalMaxAge: age, expires: new Date(Date.now() + age), path: '/' },
  ...fields,
});

describe('the store for express-session', () => {
  let stage: Stage;
  let store: RedisCacheStore;
  let sessions: RedisCacheSessionStore;
  let generated: number;

  beforeAll(async () => {
    stage = await Stage.redis();
  });
  beforeEach(async () => {
    store = await stage.open({ ttl: '2h' });
    sessions = new RedisCacheSessionStore(store);
    generated = 0;
    sessions.generate = (request) => {
      request.sessionID = `fresh-${++generated}`;
      sessions.createSession(request, data({}));
      // What express-session generates was never loaded.
      request.session = Object.create(request.session, {
        cookie: { value: request.session.cookie, enumerable: true },
      }) as typeof request.session;
    };
  });
  afterEach(() => stage.clean());
  afterAll(() => stage.stop());

  type Request = Parameters<RedisCacheSessionStore['createSession']>[0];
  const load = async (id: string) => {
    const request = { sessionID: id, sessionStore: sessions } as unknown as Request;
    const found = await sessions.get(id);
    return found && sessions.createSession(request, found);
  };

  it('gives null for a session that is not there, and Dates as Dates', async () => {
    expect(await sessions.get('a')).toBeNull();
    const session = data({ user: 'ann', since: new Date(5) });
    await sessions.set('a', session);
    expect(await sessions.get('a')).toEqual(session);
  });

  it('tells callbacks and promises alike', async () => {
    await new Promise<void>((resolve) => void sessions.set('a', data({ user: 'ann' }), () => resolve()));
    const found = await new Promise((resolve) => void sessions.get('a', (...result) => resolve(result)));
    expect(found).toEqual([null, expect.objectContaining({ user: 'ann' })]);
    const bad = await new Promise((resolve) => void sessions.get('', (...result) => resolve(result)));
    expect(bad).toEqual([expect.any(CacheArgumentError)]);
  });

  it('lets a session live as long as its cookie, and without an end as long as the store says', async () => {
    await sessions.set('a', data({}, 5000));
    expect(await store.ttl('a')).toBeLessThanOrEqual(5000);
    await sessions.set('b', { cookie: { originalMaxAge: null, expires: null } });
    expect(await store.ttl('b')).toBeGreaterThan(7_000_000);
    await stage.pass(3_600_000);
    const loaded = await load('b');
    if (loaded) await sessions.set('b', loaded);
    expect(await store.ttl('b')).toBeGreaterThan(7_000_000);
    await stage.pass(3_600_000);
    if (loaded) await sessions.touch('b', loaded);
    expect(await store.ttl('b')).toBeGreaterThan(7_000_000);
  });

  it('keeps a session for 100 years whose cookie has an end beyond that', async () => {
    const expires = new Date('9999-12-31');
    await sessions.set('a', { cookie: { originalMaxAge: null, expires } });
    expect(await store.ttl('a')).toBeGreaterThan(99 * 365 * 86_400_000);
    expect(await sessions.get('a')).toMatchObject({ cookie: { expires } });
  });

  it('forgets a session whose cookie is over', async () => {
    await sessions.set('a', data({}));
    await sessions.set('a', data({}, -1));
    await eventually(async () => expect(await store.has('a')).toBe(false));
    await sessions.set('a', data({}));
    await sessions.touch('a', data({}, -1));
    await eventually(async () => expect(await store.has('a')).toBe(false));
  });

  it('lets a session live as long as its cookie although the clock of the application is an hour behind that of Redis', async () => {
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
    await sessions.set('a', data({ user: 'ann' }, 60_000));
    clock.mockRestore();
    expect(await store.ttl('a')).toBeLessThanOrEqual(60_000);
    expect(await sessions.get('a')).toMatchObject({ user: 'ann' });
  });

  it('never revives a destroyed session by a late save or touch', async () => {
    await sessions.set('a', data({ user: 'ann' }));
    const late = await load('a');
    await sessions.destroy('a');
    if (late) await sessions.set('a', late);
    if (late) await sessions.touch('a', late);
    expect(await sessions.get('a')).toBeNull();
  });

  it('never revives a session that was saved, destroyed and saved again within one request', async () => {
    const session = data({ user: 'ann' });
    await sessions.set('a', session);
    await sessions.destroy('a');
    await sessions.set('a', session);
    expect(await sessions.get('a')).toBeNull();
  });

  it('touches by changing the cookie inside the record, and nothing that others saved', async () => {
    await sessions.set('a', data({ visits: 1 }, 1000));
    const loaded = await load('a');
    await store.update<SessionData>('a', (session) => ({ ...session, visits: 2 }));
    if (loaded) loaded.cookie.maxAge = 100_000;
    if (loaded) await sessions.touch('a', loaded);
    const found = await sessions.get('a');
    expect(found).toMatchObject({ visits: 2 });
    expect(found?.cookie.expires?.getTime()).toBeGreaterThan(Date.now() + 50_000);
    expect(await store.ttl('a')).toBeGreaterThan(50_000);
  });

  it('sends no more than a read and a write for a touch', async () => {
    await sessions.set('a', data({}));
    const loaded = await load('a');
    const counts = await commandsDuring(stage.server, async () => loaded && (await sessions.touch('a', loaded)));
    expect(counts['eval'] ?? counts['evalsha']).toBe(1);
  });

  it('regenerates by moving the record, which has nothing of the old session then', async () => {
    await store.put('old', data({ user: 'ann' }), { tags: ['user:ann'] });
    const request = { sessionID: 'old', sessionStore: sessions } as unknown as Request;
    await sessions.regenerate(request);
    expect(request.sessionID).toBe('fresh-1');
    expect(await store.keys()).toEqual(['fresh-1']);
    expect(await store.keys({ tag: 'user:ann' })).toEqual([]);
    expect(await sessions.get('fresh-1')).not.toHaveProperty('user');
    // Destroyed meanwhile, it is not saved again.
    await sessions.destroy('fresh-1');
    await sessions.set('fresh-1', request.session);
    expect(await store.keys()).toEqual([]);
  });

  it('moves a session to one new id only, however many callers regenerate it', async () => {
    await sessions.set('old', data({ user: 'ann' }));
    const requests = Array.from(
      { length: 20 },
      () => ({ sessionID: 'old', sessionStore: sessions }) as unknown as Request,
    );
    await Promise.all(requests.map((request) => sessions.regenerate(request)));
    expect(await sessions.length()).toBe(1);
  });

  it('lists, counts and clears', async () => {
    await sessions.set('a', data({ user: 'ann' }));
    await sessions.set('b', data({ user: 'bob' }));
    expect((await sessions.ids()).toSorted()).toEqual(['a', 'b']);
    expect(await sessions.length()).toBe(2);
    const all = await sessions.all();
    expect(all.map(({ id }) => id).toSorted()).toEqual(['a', 'b']);
    expect(all).toContainEqual(expect.objectContaining({ id: 'a', user: 'ann' }));
    await sessions.clear();
    expect(await sessions.length()).toBe(0);
  });

  it('leaves out functions of a session at its first level, and refuses those below', async () => {
    await sessions.set('a', data({ user: 'ann', greet: () => 'hello' }));
    expect(await sessions.get('a')).not.toHaveProperty('greet');
    await expect(sessions.set('a', data({ user: { greet: () => 'hello' } }))).rejects.toThrow(CacheArgumentError);
    expect(await sessions.get('a')).toMatchObject({ user: 'ann' });
  });

  it('refuses an option that it does not know', () => {
    const open = (options: object) => () => new RedisCacheSessionStore(store, options);
    expect(open({ legacy: 'connect-mongo' })).toThrow(CacheArgumentError);
    expect(open({ legacy: 'connect-mongo' })).toThrow("legacy: must be 'connect-redis'");
    expect(open({ prefix: 'sess:' })).toThrow('options: "prefix" is unknown; there are "legacy"');
  });
});

describe('an application with express-session', () => {
  const instances = sessionContract((url) =>
    startSessions({ url }, (app) => new RedisCacheSessionStore(app.get(RedisCacheStore))),
  );
  const ask = (method: 'get' | 'post', path: string) => instances().browser.ask(instances().app(0), method, path);

  it('behaves as the store of express-session itself in each of these steps', async () => {
    const memory = new MemoryStore();
    const theirs = await startSessions({ url: 'memory:' }, () => memory);
    const other = new Browser();
    const steps = [
      'get /',
      'post /visit',
      'post /visit',
      'post /login?user=ann',
      'post /visit',
      'get /',
      'post /logout',
      'get /',
    ];
    for (const step of steps) {
      const [method, path] = step.split(' ') as ['get' | 'post', string];
      const [own, model] = [await ask(method, path), await other.ask(theirs, method, path)];
      expect({ step, ...own }).toEqual({ step, ...model });
      expect([step, instances().browser.id === '']).toEqual([step, other.id === '']);
    }
    await theirs.close();
  });

  // The last: it leaves no server behind.
  it('answers 503 in an outage, and does not take it for a new visitor', async () => {
    await ask('post', '/login?user=ann');
    await instances().stage.server.kill9();
    const store = new RedisCacheSessionStore(instances().app(0).get(RedisCacheStore));
    await expect(store.get('a')).rejects.toThrow(CacheUnavailableError);
    const { cookie } = instances().browser;
    expect(await ask('get', '/')).toMatchObject({ status: 503, retryAfter: '1' });
    expect(instances().browser.cookie).toBe(cookie);
  });
});
