// Every call of ours while OpenTelemetry's instrumentation of ioredis looks on. Loaded as an ES module and as CommonJS.
import 'reflect-metadata';
import { asRequest, takeSeen } from './tracing.js'; // before anything that loads ioredis
import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { RedisCacheModule, type RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheAuthModule } from 'nestjs-redis-cache-store/auth';
import { everyCall, KEY, MASTER_KEY, PASSWORD, sightings, VALUE } from './canaries.js';
import { type EveryCall, everyAdapter as callAdapters, everyService as callServices } from './every-service.js';
import { shown } from './witness.js';

/** What an instrumentation of ioredis saw. */
export interface Observation {
  /** The names of the spans. */
  commands: string[];
  /** Secrets among what it saw, with what stood around them. */
  leaks: string[];
  /** Methods that were not called. */
  forgotten?: string[];
}

export interface Kind extends RedisCacheModuleOptions {
  encrypted?: boolean;
}

function observation(tokens: readonly string[] = []): Observation {
  const { commands, everything } = takeSeen();
  const text = everything.map(shown).join('\n');
  return { commands, leaks: [...sightings(text), ...tokens.filter((token) => text.includes(token))] };
}

/** What the instrumentation sees of an application's own client, which hides nothing. */
export async function leak(url: string): Promise<Observation> {
  const client = new Redis(url);
  await asRequest(async () => [await client.set(KEY, VALUE), await client.get(KEY), await client.del(KEY)]);
  client.disconnect();
  return observation();
}

async function within(kind: Kind, action: (app: INestApplicationContext) => Promise<void>): Promise<void> {
  const { encrypted, ...options } = kind;
  const root = { timeout: '10s', ttl: '1h', ...options, ...(encrypted && { encryption: { keys: [MASTER_KEY] } }) };
  const services = RedisCacheAuthModule.forFeature({
    sessions: { namespace: 'session', idle: '30m', absolute: '12h', limit: { sessions: 2, when: 'evict-oldest' } },
    refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
    codes: { namespace: 'code', secret: MASTER_KEY },
    attempts: { namespace: 'attempt', limit: 3, window: '1m' },
  });
  const module = { ...services, imports: [RedisCacheModule.forRoot(root)] };
  await asRequest(async () => {
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    try {
      await action(app);
    } finally {
      await app.close();
    }
  });
}

/** Every method of a store. */
export async function everyMethod(kind: Kind): Promise<Observation> {
  await within(kind, async (app) => {
    const store = app.get(RedisCacheStore);
    const watching = kind.nearCache === true ? store.watch(KEY).subscribe() : undefined;
    for (const [, call] of everyCall(store)) await asRequest(call);
    watching?.unsubscribe();
  });
  return observation();
}

/** Every method of the services of `/auth`, and of the adapters. */
export async function everyService(kind: Kind): Promise<Observation> {
  const all: EveryCall = { secrets: [], forgotten: [] };
  await within(kind, async (app) => {
    for (const { secrets, forgotten } of [await callServices(app), await callAdapters(app.get(RedisCacheStore))]) {
      all.secrets.push(...secrets);
      all.forgotten.push(...forgotten);
    }
  });
  return { ...observation(all.secrets), forgotten: all.forgotten };
}

/** A login that is renewed on a live connection. */
export async function renewedLogin(url: string): Promise<Observation> {
  const asked = { times: 0 };
  const credentials = () => {
    asked.times++;
    return { username: 'default', password: PASSWORD, expiresAt: Date.now() + 1000 };
  };
  await within({ url, credentials }, async () => {
    const begunAt = Date.now();
    while (asked.times < 2 && Date.now() < begunAt + 15_000) await sleep(50);
    await sleep(200);
  });
  if (asked.times < 2) throw new Error('the login was not renewed');
  return observation();
}
