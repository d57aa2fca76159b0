import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { SILENT } from '../support/cache-app.js';
import { gate } from '../support/gate.js';
import { Stage } from '../support/stage.js';
import { Browser, COOKIE_AGE, SECRET, SessionController } from './session-stage.js';

describe('an application with @fastify/session', () => {
  let stage: Stage;
  let apps: NestFastifyApplication[];
  let browser: Browser;

  async function start(): Promise<NestFastifyApplication> {
    const module = await Test.createTestingModule({
      imports: [RedisCacheModule.forRoot({ url: stage.url, timeout: '10s', ttl: '1h', namespace: 'sess' })],
      controllers: [SessionController],
    })
      .setLogger(SILENT)
      .compile();
    const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
    await app.register(fastifyCookie);
    await app.register(fastifySession, {
      store: new RedisCacheSessionStore(app.get(RedisCacheStore)),
      secret: SECRET.repeat(2),
      saveUninitialized: false,
      cookie: { maxAge: COOKIE_AGE, secure: false },
    });
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    return app;
  }

  const app = (i: number) => apps[i] as NestFastifyApplication;
  const keys = async () => (await stage.server.cli('KEYS', '*')) as string[];

  beforeAll(async () => {
    stage = await Stage.redis();
    apps = [await start(), await start()];
  });
  beforeEach(async () => {
    await stage.server.cli('FLUSHALL');
    browser = new Browser();
    SessionController.arrived = gate();
    SessionController.leave = gate();
  });
  afterEach(() => stage.clean());
  afterAll(async () => {
    await Promise.all(apps.map((each) => each.close()));
    await stage.stop();
  });

  it('keeps a session over two instances, and stores nothing of how it was loaded', async () => {
    for (const i of [0, 1, 0]) await browser.ask(app(i), 'post', '/visit');
    expect((await browser.ask(app(1), 'get', '/')).body).toEqual({ visits: 3 });
    const store = app(0).get(RedisCacheStore);
    const session = await store.get<object>((await store.keys())[0] ?? '');
    expect(Object.keys(session ?? {}).toSorted()).toEqual(['cookie', 'visits']);
  });

  it('gives a session a new id at login', async () => {
    await browser.ask(app(0), 'post', '/visit');
    const { cookie } = browser;
    await browser.ask(app(1), 'post', '/login?user=ann');
    expect(browser.cookie).not.toBe(cookie);
    expect((await browser.ask(app(0), 'get', '/')).body).toEqual({ user: 'ann' });
    expect(await keys()).toHaveLength(1);
  });

  it('does not revive a session that is destroyed while a slow request holds it', async () => {
    await browser.ask(app(0), 'post', '/login?user=ann');
    const slow = browser.ask(app(0), 'post', '/slow');
    await SessionController.arrived.promise;
    await Object.assign(new Browser(), { cookie: browser.cookie }).ask(app(1), 'post', '/logout');
    SessionController.leave.open();
    await slow;
    expect(await keys()).toEqual([]);
  });

  it('extends a session with every request, and ends it with its cookie', async () => {
    await browser.ask(app(0), 'post', '/login?user=ann');
    for (let i = 0; i < 3; i++) {
      await stage.pass(COOKIE_AGE * 0.6);
      expect((await browser.ask(app(i % 2), 'get', '/')).body).toEqual({ user: 'ann' });
    }
    await stage.pass(COOKIE_AGE + 1000);
    expect((await browser.ask(app(0), 'get', '/')).body).toEqual({});
  });
});
