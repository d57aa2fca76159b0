/* oxlint-disable jest/no-conditional-expect -- what a step promises depends on what it was and on what was lost */
import * as fc from 'fast-check';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import {
  OneTimeCodes,
  type RedisCacheAuthOptions,
  RefreshTokens,
  Sessions,
  TooManyAttemptsError,
} from 'nestjs-redis-cache-store/auth';
import { TcpProxy } from '../support/proxy.js';
import { AuthStage, SECRET } from './auth-stage.js';

const OPTIONS: RedisCacheAuthOptions = {
  sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d', retryWindow: '5m' },
  codes: { namespace: 'code', secret: SECRET, budget: { issues: 4, wrong: 5 } },
};
const RUNS = { numRuns: 25 };

/** What the network does to the next call: nothing, loses one reply, or ends the connections. */
type Fault = 'none' | 'lost reply' | 'cut';
const fault = fc.constantFrom<Fault>('none', 'none', 'lost reply', 'cut');
/** Of two instances of the application; the faults are the second one's. */
const instance = fc.constantFrom<0 | 1>(0, 1);

interface Services {
  readonly sessions: Sessions<number>;
  readonly tokens: RefreshTokens<number>;
  readonly codes: OneTimeCodes<number>;
}

describe('tokens, codes and sessions under faults, as models of them', () => {
  let stage: AuthStage;
  let proxy: TcpProxy;
  let instances: Services[];
  let subjects = 0;
  beforeAll(async () => {
    stage = await AuthStage.redis();
    proxy = await TcpProxy.start(stage.stage.server);
    const roots = [{}, { url: proxy.url, timeout: '2s' }];
    const modules = await Promise.all(roots.map((root) => stage.open(OPTIONS, root)));
    instances = modules.map((module) => ({
      sessions: module.get<Sessions<number>>(Sessions),
      tokens: module.get<RefreshTokens<number>>(RefreshTokens),
      codes: module.get<OneTimeCodes<number>>(OneTimeCodes),
    }));
  });
  afterAll(async () => {
    await stage?.clean();
    await proxy?.stop();
    await stage?.stop();
  });

  /** Runs a call on an instance; `undefined`: nobody knows whether it was carried out. */
  async function run<T>(at: 0 | 1, what: Fault, call: (services: Services) => Promise<T>): Promise<T | undefined> {
    const services = instances[at];
    if (!services) throw new Error('there are two');
    if (at === 1 && what === 'lost reply') void proxy.dropReplies();
    const running = call(services);
    if (at === 1 && what === 'cut') proxy.endConnections();
    try {
      return await running;
    } catch (error) {
      if (!(error instanceof CacheUnavailableError)) throw error;
      return undefined;
    } finally {
      await proxy.resume();
    }
  }

  it('a refresh token has one successor, is rotated once, and is worth nothing after its family ended', async () => {
    const step = fc.record({ at: instance, what: fault, back: fc.nat(3), calls: fc.integer({ min: 1, max: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
        const first = await run(0, 'none', ({ tokens }) => tokens.issue('user:42', 1));
        const chain = [first ?? ''];
        const successors = new Map<string, string>();
        const rotated = new Map<string, number>();
        let isEnded = false;
        for (const { at, what, back, calls } of steps) {
          const token = chain.at(-1 - Math.min(back, chain.length - 1)) ?? '';
          const rotations = await Promise.all(
            Array.from({ length: calls }, () => run(at, what, ({ tokens }) => tokens.rotate(token))),
          );
          for (const rotation of rotations) {
            if (rotation === undefined) continue;
            if (!('token' in rotation)) {
              isEnded = true;
              continue;
            }
            expect(isEnded).toBe(false);
            expect(successors.get(token) ?? rotation.token).toBe(rotation.token);
            if (!successors.has(token)) chain.push(rotation.token);
            successors.set(token, rotation.token);
            if (rotation.outcome === 'rotated') rotated.set(token, (rotated.get(token) ?? 0) + 1);
          }
          expect(Math.max(0, ...rotated.values())).toBeLessThanOrEqual(1);
        }
        // Whatever was lost, a retry with the newest token that the client has resolves it.
        if (!isEnded)
          expect(await run(0, 'none', ({ tokens }) => tokens.rotate(chain.at(-1) ?? ''))).toHaveProperty('token');
      }),
      RUNS,
    );
  }, 120_000);

  it('a code is ok once, allows no more guesses than its attempts, and a subject no more than its budget', async () => {
    const step = fc.record({
      at: instance,
      what: fault,
      action: fc.constantFrom('issue', 'right', 'wrong', 'wrong'),
      calls: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
        const subject = `user:${++subjects}`;
        let issued = 0;
        let wrong = 0;
        let code = '';
        let ofCode = { ok: 0, wrong: 0 };
        for (const { at, what, action, calls } of steps) {
          if (action === 'issue') {
            const next = await run(at, what, ({ codes }) =>
              codes.issue('login', subject, 1).catch((error: unknown) => {
                if (error instanceof TooManyAttemptsError) return 'refused';
                throw error;
              }),
            );
            if (next === 'refused' || next === undefined) {
              if (next === undefined) code = ''; // which code there is now nobody knows
              continue;
            }
            issued++;
            code = next;
            ofCode = { ok: 0, wrong: 0 };
            continue;
          }
          const guess = action === 'right' && code !== '' ? code : 'wrong';
          const told = await Promise.all(
            Array.from({ length: calls }, () => run(at, what, ({ codes }) => codes.redeem('login', subject, guess))),
          );
          ofCode.ok += told.filter((each) => each?.outcome === 'ok').length;
          const wrongs = told.filter((each) => each?.outcome === 'wrong').length;
          ofCode.wrong += wrongs;
          wrong += wrongs;
          expect(ofCode.ok).toBeLessThanOrEqual(1);
          if (code !== '') expect(ofCode.wrong).toBeLessThanOrEqual(3);
          expect([issued, wrong].map((count, i) => count <= (i === 0 ? 4 : 5))).toEqual([true, true]);
        }
      }),
      RUNS,
    );
  }, 120_000);

  it('no session is alive after its token was regenerated or revoked, or after revokeAll', async () => {
    const step = fc.record({
      at: instance,
      what: fault,
      action: fc.constantFrom('create', 'get', 'update', 'regenerate', 'log in', 'revoke', 'revokeOthers', 'revokeAll'),
      which: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const subject = `user:${++subjects}`;
        const live: string[] = [];
        const dead = new Set<string>();
        const kill = (token: string) => {
          live.splice(live.indexOf(token), 1);
          dead.add(token);
        };
        /** It may be alive or not; nobody uses it any more. */
        const forget = (token: string) => void live.splice(live.indexOf(token), 1);
        for (const { at, what, action, which } of steps) {
          const token = live[which % Math.max(1, live.length)];
          if (action === 'create' || token === undefined) {
            const created = await run(at, what, ({ sessions }) => sessions.create(subject, 1));
            if (created) live.push(created.token);
          } else if (action === 'get') {
            const found = await run(at, what, async ({ sessions }) => [await sessions.get(token)]);
            if (found) expect(found).toMatchObject([{ subject }]);
          } else if (action === 'update') {
            const changed = await run(at, what, async ({ sessions }) => [await sessions.update(token, (n) => n + 1)]);
            if (changed) expect(changed).toMatchObject([{ subject }]);
          } else if (action === 'regenerate' || action === 'log in') {
            const options = action === 'log in' ? { subject } : {};
            const next = await run(at, what, async ({ sessions }) => [await sessions.regenerate(token, options)]);
            if (next === undefined)
              forget(token); // the user signs in again
            else kill(token);
            if (next) {
              expect(next).not.toEqual([undefined]);
              live.push(next[0]?.token ?? '');
            }
          } else if (action === 'revoke') {
            const isRevoked = await run(at, what, ({ sessions }) => sessions.revokeToken(token));
            if (isRevoked === undefined) forget(token);
            else kill(token);
          } else if (action === 'revokeOthers') {
            const count = await run(at, what, ({ sessions }) => sessions.revokeOthers(token));
            for (const other of live.filter((each) => each !== token)) {
              if (count === undefined) forget(other);
              else kill(other);
            }
          } else {
            const count = await run(at, what, ({ sessions }) => sessions.revokeAll(subject));
            for (const each of live.slice()) {
              if (count === undefined) forget(each);
              else kill(each);
            }
            // What nobody knew of is gone as well.
            if (count !== undefined) expect(await run(0, 'none', ({ sessions }) => sessions.list(subject))).toEqual([]);
          }
          for (const each of live) {
            expect(await run(0, 'none', ({ sessions }) => sessions.get(each))).toMatchObject({ subject });
          }
          for (const each of dead) expect(await run(0, 'none', ({ sessions }) => sessions.get(each))).toBeUndefined();
        }
        // After an unknown, a retry resolves it.
        await run(0, 'none', ({ sessions }) => sessions.revokeAll(subject));
        expect(await run(0, 'none', ({ sessions }) => sessions.list(subject))).toEqual([]);
      }),
      RUNS,
    );
  }, 120_000);
});
