// How an application tests what it builds on the store: no Redis, and no mock that has to imitate one.
import { type ExecutionContext, UnauthorizedException } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheUnavailableError, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheTestingModule } from 'nestjs-redis-cache-store/testing';
import { AppModule } from './app.module.js';
import { SessionGuard } from './session.guard.js';

const ID = 'x'.repeat(43);

// The factory of forRootAsync asks for it. No server is there, nor needed.
process.env['REDIS_URL'] = 'redis://localhost';

describe('SessionGuard', () => {
  let app: TestingModule;

  // The application as it is, with every store of it in this process. Every test has records of its own.
  const application = () => Test.createTestingModule({ imports: [AppModule, RedisCacheTestingModule] });
  const enter = () => app.get(SessionGuard).canActivate(requestWith(`Bearer ${ID}`));

  afterEach(() => app.close());

  it('lets a session in', async () => {
    app = await application().compile();
    await app.get(RedisCacheStore).put(ID, { userId: 42, createdAt: new Date() });
    await expect(enter()).resolves.toBe(true);
  });

  it('keeps everybody else out', async () => {
    app = await application().compile();
    await expect(enter()).rejects.toThrow(UnauthorizedException);
  });

  // What the store does in an outage, on demand.
  it('does not mistake an outage for a logout', async () => {
    const outage = new CacheUnavailableError('disconnected', 'not-sent', 'Redis is down');
    app = await application()
      .overrideProvider(RedisCacheStore)
      .useValue({ get: () => Promise.reject(outage) })
      .compile();
    await expect(enter()).rejects.toBe(outage);
  });
});

function requestWith(authorization: string): ExecutionContext {
  const request = { headers: { authorization } };
  return { switchToHttp: () => ({ getRequest: () => request }) } as unknown as ExecutionContext;
}
