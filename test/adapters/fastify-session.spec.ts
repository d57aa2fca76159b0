import { APP_FILTER } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  CacheUnavailableFilter,
  getCacheStoreToken,
  RedisCacheModule,
  type RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { useSessions } from '../../sample/recipes/fastify-sessions.js';
import { SILENT } from '../support/cache-app.js';
import { sessionContract } from './session-contract.js';
import { SECRET, SessionController } from './session-stage.js';

async function start(url: string): Promise<NestFastifyApplication> {
  const module = await Test.createTestingModule({
    imports: [
      RedisCacheModule.forRoot({ url, timeout: '10s', ttl: '1h' }),
      RedisCacheModule.forFeature({ namespace: 'sess', ttl: '1d' }),
    ],
    controllers: [SessionController],
    providers: [{ provide: APP_FILTER, useClass: CacheUnavailableFilter }],
  })
    .setLogger(SILENT)
    .compile();
  const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  process.env['SESSION_SECRET'] = SECRET.repeat(2);
  await useSessions(app);
  delete process.env['SESSION_SECRET'];
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

describe('an application with @fastify/session', () => {
  const instances = sessionContract(start);

  it('stores nothing of how a session was loaded', async () => {
    const app = instances().app(0);
    for (let i = 0; i < 2; i++) await instances().browser.ask(app, 'post', '/visit');
    const store = app.get<RedisCacheStore>(getCacheStoreToken('sess'));
    const session = await store.get<object>((await store.keys())[0] ?? '');
    expect(Object.keys(session ?? {}).toSorted()).toEqual(['cookie', 'visits']);
  });

  // The last: it leaves no server behind.
  it('answers 503 in an outage, and does not take it for a new visitor', async () => {
    const { browser, stage } = instances();
    await browser.ask(instances().app(0), 'post', '/login?user=ann');
    const { cookie } = browser;
    await stage.server.kill9();
    expect(await browser.ask(instances().app(0), 'get', '/')).toMatchObject({ status: 503, retryAfter: '1' });
    expect(browser.cookie).toBe(cookie);
  });
});
