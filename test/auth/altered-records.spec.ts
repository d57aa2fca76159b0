import { CacheCorruptError, type RedisCacheStore, RedisCacheError } from 'nestjs-redis-cache-store';
import { OneTimeCodes, RefreshTokens, Sessions } from 'nestjs-redis-cache-store/auth';
import { sha256 } from '../../lib/auth/secrets.js';
import { AuthStage, SECRET } from './auth-stage.js';

const OPTIONS = {
  sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
  refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
  codes: { namespace: 'code', secret: SECRET, budget: false as const },
};
const WRONG: unknown[] = [undefined, null, true, Number.NaN, 5n, 'x', [], new Date(Number.NaN)];
const subject = 'user:42';

type Fields = Record<string, unknown>;

describe('a record that was altered by somebody who may write to Redis', () => {
  let stage: AuthStage;
  let sessions: Sessions;
  let tokens: RefreshTokens;
  let codes: OneTimeCodes;
  let stores: Record<'session' | 'refresh' | 'code', RedisCacheStore>;

  beforeAll(async () => {
    stage = await AuthStage.redis();
    const module = await stage.open(OPTIONS);
    sessions = module.get<Sessions>(Sessions);
    tokens = module.get<RefreshTokens>(RefreshTokens);
    codes = module.get<OneTimeCodes>(OneTimeCodes);
    const [session, refresh, code] = await Promise.all(
      ['session', 'refresh', 'code'].map((namespace) => stage.stage.open({ namespace, ttl: '1h' })),
    );
    stores = { session, refresh, code } as typeof stores;
  });
  afterEach(() => Promise.all(Object.values(stores).map((store) => store.clear())));
  afterAll(() => stage?.stop());

  /** Makes each field of a record wrong in each way, and the record as a whole; calls may then reject with errors of the package only. */
  async function expectOwnErrors(
    store: RedisCacheStore,
    make: () => Promise<readonly [key: string, ...calls: (() => Promise<unknown>)[]]>,
    further: readonly string[] = [],
  ): Promise<void> {
    const [key, ...calls] = await make();
    const fields = Object.keys((await store.get<Fields>(key)) ?? {});
    expect(fields.length).toBeGreaterThan(1);
    const unexpected: unknown[] = [];
    for (const field of [...fields, ...further, undefined]) {
      for (const wrong of WRONG.filter((each) => field !== undefined || each !== undefined)) {
        for (const i of calls.keys()) {
          const [altered, ...again] = await make();
          const alter = (record: Fields) => (field === undefined ? (wrong as Fields) : { ...record, [field]: wrong });
          await store.update<Fields>(altered, alter);
          const [outcome] = await Promise.allSettled([again[i]?.()]);
          const isExpected = outcome?.status === 'fulfilled' || outcome?.reason instanceof RedisCacheError;
          if (!isExpected) unexpected.push([field, wrong, String(again[i]), outcome]);
          await store.clear();
        }
      }
    }
    expect(unexpected).toEqual([]);
  }

  it('of a session', async () => {
    await expectOwnErrors(
      stores.session,
      async () => {
        const { token, session } = await sessions.create(subject, {}, { device: 'a' });
        return [
          session.id,
          () => sessions.get(token),
          () => sessions.update(token, () => 1),
          () => sessions.regenerate(token, { overlap: '1m' }),
          () => sessions.reauthenticate(token),
          () => sessions.list(subject),
          () => sessions.revoke(subject, session.id),
          () => sessions.revokeToken(token),
          () => sessions.revokeOthers(token),
          () => sessions.revokeAll(subject),
        ];
      },
      ['movedTo'],
    );
  }, 60_000);

  it('of a family of refresh tokens', async () => {
    await expectOwnErrors(
      stores.refresh,
      async () => {
        const previous = await tokens.issue(subject, {}, { device: 'a' });
        const rotation = await tokens.rotate(previous);
        const token = 'token' in rotation ? rotation.token : '';
        const key = sha256(token.split('.')[0] ?? '');
        return [
          key,
          () => tokens.rotate(token),
          () => tokens.rotate(previous),
          () => tokens.list(subject),
          () => tokens.revoke(token),
          () => tokens.revokeAll(subject),
        ];
      },
      ['isEnded'],
    );
  }, 60_000);

  it('of a code or a link', async () => {
    await expectOwnErrors(stores.code, async () => {
      const code = await codes.issue('login', subject);
      const [key = ''] = await stores.code.keys();
      return [key, () => codes.redeem('login', subject, code), () => codes.redeem('login', subject, 'wrong')];
    });
    await expectOwnErrors(stores.code, async () => {
      const token = await codes.issueToken('reset', subject, 'data');
      const [key = ''] = await stores.code.keys();
      return [key, () => codes.redeemToken('reset', token)];
    });
  }, 60_000);

  it('and is none of its kind any more, is corrupt to whoever revokes or redeems it, and neither ended nor absent', async () => {
    const { token, session } = await sessions.create(subject, {});
    const refreshToken = await tokens.issue(subject, {});
    const link = await codes.issueToken('reset', subject);
    for (const store of Object.values(stores)) {
      const [key = ''] = await store.keys();
      await store.update(key, () => ({ role: 'admin' }));
    }
    for (const call of [
      () => sessions.revoke(subject, session.id),
      () => sessions.revokeToken(token),
      () => tokens.revoke(refreshToken),
      () => codes.redeemToken('reset', link),
    ]) {
      await expect(call()).rejects.toBeInstanceOf(CacheCorruptError);
    }
    expect(await stores.session.has(session.id)).toBe(true);
    expect(await stores.refresh.count()).toBe(1);
  });

  it('of sessions that lead to one another in a circle', async () => {
    const [one, other] = [await sessions.create(subject, {}), await sessions.create(subject, {})];
    const lead = (from: typeof one, to: typeof one) =>
      stores.session.update<Fields>(from.session.id, (record) => ({ ...record, movedTo: to.session.id }));
    await lead(one, other);
    expect(await sessions.get(one.token)).toMatchObject({ id: other.session.id });
    await lead(other, one);
    for (const call of [
      () => sessions.get(one.token),
      () => sessions.update(one.token, () => 1),
      () => sessions.reauthenticate(one.token),
      () => sessions.revokeToken(one.token),
      () => sessions.revoke(subject, one.session.id),
      () => sessions.revokeOthers(one.token),
    ]) {
      await expect(call()).rejects.toBeInstanceOf(CacheCorruptError);
    }
    expect(await sessions.regenerate(one.token)).toBeUndefined();
    expect(await sessions.list(subject)).toEqual([]);
    expect(await sessions.revokeAll(subject)).toBe(2);
  });
});
