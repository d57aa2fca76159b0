// The application that every consumer has: a module, a store, a controller, a health check. The runner copies it into each.
import 'reflect-metadata';
import { deepEqual, equal, ok } from 'node:assert/strict';
import { Controller, Get, Injectable, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import {
  CacheArgumentError,
  InjectCacheStore,
  RedisCacheError,
  RedisCacheModule,
  RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { RedisCacheHealthIndicator } from 'nestjs-redis-cache-store/health';

const KEY = '00'.repeat(32);

interface Session {
  userId: number;
  since: Date;
}

@Injectable()
class Sessions {
  constructor(
    readonly store: RedisCacheStore<Session>,
    @InjectCacheStore('codes') readonly codes: RedisCacheStore<string>,
  ) {}
}

@Controller()
class ProbeController {
  constructor(
    private readonly sessions: Sessions,
    private readonly health: HealthCheckService,
    private readonly redis: RedisCacheHealthIndicator,
  ) {}

  @Get('session/:id')
  async session(@Param('id') id: string) {
    return { session: await this.sessions.store.get(id) };
  }

  @Get('health')
  check() {
    return this.health.check([() => this.redis.check('redis')]);
  }
}

/** Boots the application twice, and throws if anything of the package is not as it has to be. */
export async function probe(url: string | undefined): Promise<void> {
  ok(url, 'the runner gives REDIS_URL');
  const session: Session = { userId: 1, since: new Date() };
  const id = `probe ${Math.random()}`;

  await withApplication(url, async (sessions, address) => {
    await sessions.store.put(id, session);
    deepEqual(await sessions.store.get(id), session);
    equal(await sessions.codes.get(id), undefined);
    await sessions.codes.put(id, 'ABC');
    equal(await sessions.codes.take(id), 'ABC');
    const answer = await read(`${address}/session/${encodeURIComponent(id)}`);
    deepEqual(answer, { session: { userId: 1, since: session.since.toISOString() } });

    const refused: unknown = await sessions.codes.put('', 'an empty key').catch((error: unknown) => error);
    ok(refused instanceof CacheArgumentError && refused instanceof RedisCacheError, String(refused));

    const health = await read(`${address}/health`);
    deepEqual([health.status, health.details], ['ok', { redis: { status: 'up', connection: 'ready' } }]);
  });
  // Redis keeps what memory forgets: the url was obeyed.
  await withApplication(url, async ({ store }) => {
    deepEqual(await store.take(id), url === 'memory:' ? undefined : session);
  });
}

async function withApplication(url: string, run: (sessions: Sessions, address: string) => Promise<void>) {
  @Module({
    imports: [
      RedisCacheModule.forRoot({ url, namespace: 'session', ttl: '30m' }),
      // Encrypted, which loads a library of its own.
      RedisCacheModule.forFeature({ name: 'codes', namespace: 'code', ttl: '10m', encryption: { keys: [KEY] } }),
      TerminusModule,
    ],
    controllers: [ProbeController],
    providers: [Sessions, RedisCacheHealthIndicator],
  })
  class AppModule {}

  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  try {
    await app.listen(0, '127.0.0.1');
    await run(app.get(Sessions), await app.getUrl());
  } finally {
    await app.close();
  }
}

/** Parsed here: the objects of `response.json()` are not of Jest's realm. */
async function read(address: string): Promise<Record<string, unknown>> {
  return JSON.parse(await (await fetch(address)).text()) as Record<string, unknown>;
}
