// A second instance of the application: the services of /auth with the options of AUTH (as JSON), used by many at once.
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { Module } from '@nestjs/common';
import { RedisCacheModule } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  OneTimeCodes,
  RedisCacheAuthModule,
  RefreshTokens,
  Sessions,
} from 'nestjs-redis-cache-store/auth';
import type { RedisCacheAuthOptions } from 'nestjs-redis-cache-store/auth';

const options = JSON.parse(process.env['AUTH'] ?? '{}') as RedisCacheAuthOptions;
const imports = [
  RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? '', ttl: '1h', timeout: '10s' }),
  RedisCacheAuthModule.forFeature(options),
];

@Module({ imports })
class App {}

const app = await NestFactory.createApplicationContext(App, { logger: false });

/** Waits for a moment of `Date.now()`, so that several processes begin together. */
async function together(at: number): Promise<void> {
  await sleep(Math.max(0, at - Date.now() - 2));
  while (Date.now() < at);
}

function many<T>(calls: number, call: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: calls }, (_, i) => call(i)));
}

const SERVICES = { sessions: Sessions, refreshTokens: RefreshTokens, codes: OneTimeCodes, attempts: AttemptLimiter };

/** So many concurrent calls of a method of a service; those that reject give their error. */
export async function callService(
  kind: keyof typeof SERVICES,
  method: string,
  args: readonly unknown[],
  calls: number,
) {
  const service = app.get<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>(SERVICES[kind]);
  const settled = await Promise.allSettled(Array.from({ length: calls }, async () => service[method]?.(...args)));
  return settled.map((each) => {
    if (each.status === 'fulfilled') return { value: each.value };
    const { name, code, outcome } = each.reason as { name: string; code?: string; outcome?: string };
    return { error: { name, code, outcome, text: String(each.reason) } };
  });
}

/** What so many concurrent rotations of one token give. */
export async function rotate(token: string, calls: number, at: number) {
  await together(at);
  return many(calls, () => app.get(RefreshTokens).rotate(token));
}

/** The outcomes of so many concurrent guesses. */
export async function guess(subject: string, codes: readonly string[], at: number): Promise<string[]> {
  await together(at);
  const service = app.get(OneTimeCodes);
  return (await many(codes.length, (i) => service.redeem('login', subject, codes[i] ?? ''))).map(
    ({ outcome }) => outcome,
  );
}

/** How many of so many concurrent hits were allowed. */
export async function hit(key: string, calls: number, at: number): Promise<number> {
  await together(at);
  return (await many(calls, () => app.get(AttemptLimiter).hit(key))).filter(({ allowed }) => allowed).length;
}

/** The tokens of the sessions that could be created; the others were refused. */
export async function create(subject: string, calls: number, at: number): Promise<string[]> {
  await together(at);
  const token = async () => (await app.get(Sessions).create(subject, {})).token;
  const created = await Promise.allSettled(Array.from({ length: calls }, token));
  return created.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}

/** The tokens that so many concurrent calls with one token were given. */
export async function regenerate(token: string, calls: number, at: number): Promise<string[]> {
  await together(at);
  const created = await many(calls, () => app.get(Sessions).regenerate(token));
  return created.flatMap((each) => (each ? [each.token] : []));
}

const churning = { on: false };
let churns: Promise<string[]> = Promise.resolve([]);

/** Until `endChurn`, sessions with these tokens are used, changed and regenerated. */
export function churn(tokens: readonly string[]): void {
  churning.on = true;
  const service = app.get(Sessions);
  churns = Promise.all(
    tokens.map(async (first, i) => {
      let token = first;
      for (let round = i; churning.on && token !== ''; round++) {
        await service.get(token);
        if (round % 3 === 0) await service.update(token, (data) => data);
        if (round % 5 === 0) await service.reauthenticate(token);
        token = (await service.regenerate(token, round % 2 === 0 ? { overlap: '1s' } : {}))?.token ?? '';
      }
      return token;
    }),
  );
}

/** The tokens that the churn ended with. */
export async function endChurn(): Promise<string[]> {
  churning.on = false;
  return (await churns).filter((token) => token !== '');
}
