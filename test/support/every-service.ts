import type { INestApplicationContext } from '@nestjs/common';
import type { Session, SessionData } from 'express-session';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { AttemptLimiter, OneTimeCodes, RefreshTokens, Sessions } from 'nestjs-redis-cache-store/auth';
import { redisCacheSecondaryStorage } from 'nestjs-redis-cache-store/better-auth';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';
import { RedisCacheThrottlerStorage } from 'nestjs-redis-cache-store/throttler';
import { KEY, TAG, VALUE } from './canaries.js';

/** What came of calling everything. */
export interface EveryCall {
  /** Tokens and codes that were made, which are secrets as well. */
  secrets: string[];
  /** Methods that were not called: somebody has added them, and not here. */
  forgotten: string[];
}

const CALLED_BY_NEST = /^(constructor|onModule\w+|onApplication\w+|beforeApplicationShutdown)$/;

/** Notes of objects which of their methods are called. */
class RollCall {
  private readonly missing = new Set<string>();

  get forgotten(): string[] {
    return [...this.missing];
  }

  /** The same object. */
  of<T extends object>(name: string, object: T): T {
    const prototype = Object.getPrototypeOf(object) as object;
    const owner = prototype === Object.prototype ? object : prototype;
    for (const [method, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (typeof value !== 'function' || CALLED_BY_NEST.test(method)) continue;
      this.missing.add(`${name}.${method}`);
      const called = (...args: unknown[]): unknown => {
        this.missing.delete(`${name}.${method}`);
        return Reflect.apply(value as () => unknown, object, args);
      };
      Object.defineProperty(object, method, { value: called });
    }
    return object;
  }
}

/** Every method of the services of `/auth`, with secrets. */
export async function everyService(app: INestApplicationContext): Promise<EveryCall> {
  const roll = new RollCall();
  const secrets: (string | undefined)[] = [];
  const sessions = roll.of('Sessions', app.get<Sessions>(Sessions));
  const refresh = roll.of('RefreshTokens', app.get<RefreshTokens>(RefreshTokens));
  const codes = roll.of('OneTimeCodes', app.get<OneTimeCodes>(OneTimeCodes));
  const attempts = roll.of('AttemptLimiter', app.get(AttemptLimiter));
  const data = { [VALUE]: VALUE };
  const about = { device: VALUE };
  for (let i = 0; i < 3; i++) secrets.push((await sessions.create(TAG, data, about)).token);
  const token = secrets[2] ?? '';
  await sessions.get(token);
  await sessions.update(token, () => data);
  const next = await sessions.regenerate(token, { subject: TAG });
  secrets.push(next?.token);
  await sessions.reauthenticate(next?.token ?? '');
  const [session] = await sessions.list(TAG);
  secrets.push(session?.id);
  await sessions.left(session?.id ?? '');
  const socket = { readyState: 1, on() {}, emit() {}, close() {} };
  await sessions.bind(socket, { headers: { authorization: `Bearer ${next?.token}` } });
  await sessions.revokeOthers(next?.token ?? '');
  await sessions.revoke(TAG, session?.id ?? '');
  await sessions.revokeToken(token);
  await sessions.revokeAll(TAG, { thorough: true });

  const first = await refresh.issue(TAG, data, about);
  const second = await refresh.rotate(first);
  secrets.push(first, 'token' in second ? second.token : undefined);
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
  return { secrets: secrets.filter((secret) => secret !== undefined), forgotten: roll.forgotten };
}

/** Every method of the adapters, with secrets. */
export async function everyAdapter(store: RedisCacheStore): Promise<EveryCall> {
  const roll = new RollCall();
  const data = { [VALUE]: VALUE, cookie: { originalMaxAge: null } } as unknown as SessionData;
  for (const options of [{}, { legacy: 'connect-redis' as const }]) {
    const sessions = roll.of('RedisCacheSessionStore', new RedisCacheSessionStore(store, options));
    const request = { sessionID: KEY, sessionStore: sessions } as unknown as Parameters<typeof sessions.regenerate>[0];
    await sessions.set(KEY, data);
    await sessions.get(KEY);
    const session: Session & SessionData = sessions.createSession(request, data);
    await sessions.touch(KEY, session);
    await Promise.all([sessions.ids(), sessions.length(), sessions.all()]);
    sessions.generate = (of) => {
      of.sessionID = `${KEY}2`;
      of.session = sessions.createSession(of, data);
    };
    await sessions.regenerate(request);
    await sessions.destroy(`${KEY}2`);
    await sessions.clear();
  }

  const keyv = roll.of('RedisCacheKeyvAdapter', new RedisCacheKeyvAdapter(store));
  await keyv.set(KEY, VALUE, 60_000);
  await keyv.setMany([{ key: KEY, value: VALUE }]);
  await Promise.all([keyv.get(KEY), keyv.getMany([KEY, TAG]), keyv.has(KEY), keyv.hasMany([KEY, TAG])]);
  for await (const entry of keyv.iterator()) void entry;
  await keyv.delete(KEY);
  await keyv.deleteMany([KEY, TAG]);
  await keyv.clear();

  const throttler = roll.of('RedisCacheThrottlerStorage', new RedisCacheThrottlerStorage(store));
  for (let i = 0; i < 3; i++) await throttler.increment(KEY, 60_000, 2, 60_000, TAG);

  const secondary = roll.of('redisCacheSecondaryStorage', redisCacheSecondaryStorage(store));
  await secondary.set(KEY, VALUE, 60);
  await secondary.get(KEY);
  await secondary.getAndDelete?.(KEY);
  await secondary.increment?.(`${KEY}3`, 60);
  await secondary.delete(KEY);
  return { secrets: [], forgotten: roll.forgotten };
}
