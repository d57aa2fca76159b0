import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { SILENT } from '../support/cache-app.js';
import { sessionContract } from './session-contract.js';
import { COOKIE_AGE, SECRET, SessionController } from './session-stage.js';

async function start(url: string): Promise<NestFastifyApplication> {
  const module = await Test.createTestingModule({
    imports: [RedisCacheModule.forRoot({ url, timeout: '10s', ttl: '1h', namespace: 'sess' })],
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

describe('an application with @fastify/session', () => {
  const instances = sessionContract(start);

  it('stores nothing of how a session was loaded', async () => {
    const app = instances().app(0);
    for (let i = 0; i < 2; i++) await instances().browser.ask(app, 'post', '/visit');
    const store = app.get(RedisCacheStore);
    const session = await store.get<object>((await store.keys())[0] ?? '');
    expect(Object.keys(session ?? {}).toSorted()).toEqual(['cookie', 'visits']);
  });
});
