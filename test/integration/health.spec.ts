import type { INestApplication } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { RedisCacheModule } from 'nestjs-redis-cache-store';
import { RedisCacheHealthIndicator } from 'nestjs-redis-cache-store/health';
import request from 'supertest';
import { HealthController } from '../../sample/recipes/health.controller.js';
import { SILENT } from '../support/cache-app.js';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 400;
const PASSWORD = 'canary-password';

describe('The health indicator', () => {
  let server: RedisServer;
  let app: INestApplication;

  async function start(url: string): Promise<void> {
    const module = await Test.createTestingModule({
      imports: [
        TerminusModule.forRoot({ logger: false }),
        RedisCacheModule.forRoot({ url, timeout: TIMEOUT, startup: 'background' }),
      ],
      controllers: [HealthController],
      providers: [RedisCacheHealthIndicator],
    })
      .setLogger(SILENT)
      .compile();
    app = await module.createNestApplication().init();
  }
  const check = () => request(app.getHttpServer()).get('/health');

  beforeEach(async () => {
    server = await RedisServer.start({ password: PASSWORD });
  });
  afterEach(async () => {
    await app.close();
    await server.stop();
  });

  it('is up while Redis answers', async () => {
    await start(server.url);
    const { status, body } = await check();
    expect(status).toBe(200);
    expect(body.details).toEqual({ redis: { status: 'up', connection: 'ready' } });
  });

  it('is down, with the reason and without the password, when Redis is gone', async () => {
    await start(server.url);
    await check();
    await server.kill9();
    const { status, body, text } = await check();
    expect(status).toBe(503);
    expect(body.details.redis).toMatchObject({ status: 'down', message: expect.stringMatching(/ECONN|closed|lost/) });
    expect(text).not.toContain(PASSWORD);
  });

  it('is down within the timeout when Redis is frozen', async () => {
    await start(server.url);
    await check();
    server.freeze();
    const begun = performance.now();
    const { status } = await check();
    const took = performance.now() - begun;
    server.thaw();
    expect(status).toBe(503);
    expect(took).toBeLessThan(TIMEOUT + 1000);
  });

  it('is up in memory, too', async () => {
    await start('memory:');
    expect((await check()).status).toBe(200);
  });
});
