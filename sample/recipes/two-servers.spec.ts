import { Test, type TestingModule } from '@nestjs/testing';
import { RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheTestingModule } from 'nestjs-redis-cache-store/testing';
import { SILENT } from '../../test/support/cache-app.js';
import { eventually } from '../../test/support/eventually.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { SignInLog, TwoServersModule } from './two-servers.js';

describe('the recipe of two servers', () => {
  let app: TestingModule | undefined;
  let servers: RedisServer[] = [];
  afterEach(async () => {
    await app?.close();
    await Promise.all(servers.map((server) => server.stop()));
    delete process.env['REDIS_URL'];
    delete process.env['AUDIT_REDIS_URL'];
  });

  it('keeps sessions on one and the log on the other, and does without the log while its server is down', async () => {
    const [main, audit] = (servers = [await RedisServer.start(), await RedisServer.start()]) as [
      RedisServer,
      RedisServer,
    ];
    process.env['REDIS_URL'] = main.url;
    process.env['AUDIT_REDIS_URL'] = audit.url;
    app = await Test.createTestingModule({ imports: [TwoServersModule] })
      .setLogger(SILENT)
      .compile();
    await app.init();
    await app.get(RedisCacheStore).put('id', { userId: 42 });
    const log = app.get(SignInLog);
    await eventually(async () => expect(await log.note('id', '192.0.2.1')).toBe(true));
    expect(await main.cli('KEYS', '*')).toEqual(['session:id']);
    expect(await audit.cli('KEYS', '*')).toEqual(['sign-in:id']);
    await audit.kill9();
    await eventually(async () => expect(await log.note('id', '192.0.2.1')).toBe(false));
    expect(await app.get(RedisCacheStore).get('id')).toEqual({ userId: 42 });
  });

  it('is tested without either', async () => {
    app = await Test.createTestingModule({ imports: [TwoServersModule, RedisCacheTestingModule] })
      .setLogger(SILENT)
      .compile();
    await app.init();
    expect(await app.get(SignInLog).note('id', '192.0.2.1')).toBe(true);
  });
});
