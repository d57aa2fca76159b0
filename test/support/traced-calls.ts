// Every call of ours while OpenTelemetry's instrumentation of ioredis looks on. Loaded as an ES module and as CommonJS.
import 'reflect-metadata';
import { asRequest, takeSeen } from './tracing.js'; // before anything that loads ioredis
import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { RedisCacheModule, type RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  OneTimeCodes,
  RedisCacheAuthModule,
  RefreshTokens,
  Sessions,
} from 'nestjs-redis-cache-store/auth';
import { everyCall, KEY, MASTER_KEY, PASSWORD, sightings, TAG, VALUE } from './canaries.js';
import { shown } from './witness.js';

/** What an instrumentation of ioredis saw. */
export interface Observation {
  /** The names of the spans. */
  commands: string[];
  /** Secrets among what it saw, with what stood around them. */
  leaks: string[];
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

/** Every method of the services of `/auth`. */
export async function everyService(kind: Kind): Promise<Observation> {
  const secrets: string[] = [];
  await within(kind, async (app) => {
    const [sessions, refresh] = [app.get<Sessions>(Sessions), app.get<RefreshTokens>(RefreshTokens)];
    const [codes, attempts] = [app.get<OneTimeCodes>(OneTimeCodes), app.get(AttemptLimiter)];
    const data = { [VALUE]: VALUE };
    const about = { device: VALUE };
    for (let i = 0; i < 3; i++) secrets.push((await sessions.create(TAG, data, about)).token);
    const token = secrets[2] ?? '';
    await sessions.get(token);
    await sessions.update(token, () => data);
    const next = await sessions.regenerate(token, { subject: TAG });
    secrets.push(next?.token ?? '');
    await sessions.reauthenticate(next?.token ?? '');
    const [session] = await sessions.list(TAG);
    secrets.push(session?.id ?? '');
    await sessions.revokeOthers(next?.token ?? '');
    await sessions.revoke(TAG, session?.id ?? '');
    await sessions.revokeToken(token);
    await sessions.revokeAll(TAG, { thorough: true });

    const first = await refresh.issue(TAG, data, about);
    const second = await refresh.rotate(first);
    secrets.push(first, 'token' in second ? second.token : '');
    await refresh.list(TAG);
    await refresh.revoke(first);
    await refresh.rotate(first);
    await refresh.revokeAll(TAG);

    const code = await codes.issue(KEY, TAG, data, { bind: VALUE });
    await codes.redeem(KEY, TAG, '000000', { bind: VALUE });
    await codes.redeem(KEY, TAG, code, { bind: VALUE });
    const link = await codes.issueToken(KEY, TAG, data);
    secrets.push(link);
    await codes.redeemToken(KEY, link);

    for (let i = 0; i < 4; i++) await attempts.hit(KEY);
    await attempts.peek(KEY);
    await attempts.reset(KEY);
  });
  return observation(secrets.filter((secret) => secret !== ''));
}

/** A login that is renewed on a live connection. */
export async function renewedLogin(url: string): Promise<Observation> {
  const asked = { times: 0 };
  const credentials = () => {
    asked.times++;
    return { username: 'default', password: PASSWORD, expiresAt: Date.now() + 1500 };
  };
  await within({ url, credentials }, async () => {
    const begunAt = Date.now();
    while (asked.times < 3 && Date.now() < begunAt + 15_000) await sleep(50);
    await sleep(200);
  });
  if (asked.times < 3) throw new Error('the login was not renewed');
  return observation();
}
