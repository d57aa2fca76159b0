import { CacheArgumentError } from 'nestjs-redis-cache-store';
import { AttemptLimiter, OneTimeCodes, RefreshTokens, Sessions } from 'nestjs-redis-cache-store/auth';
import { commandsDuring } from '../support/command-stats.js';
import { AuthStage, SECRET } from './auth-stage.js';

const wrong = (value: unknown) => value as never;
const TOKEN = 'x'.repeat(43);
const REFRESH_TOKEN = `${'x'.repeat(22)}.0.${TOKEN}`;

describe('a service refuses a wrong argument with CacheArgumentError before anything reaches Redis', () => {
  let stage: AuthStage;
  let sessions: Sessions;
  let tokens: RefreshTokens;
  let codes: OneTimeCodes;
  let attempts: AttemptLimiter;

  beforeAll(async () => {
    stage = await AuthStage.redis();
    const module = await stage.open({
      sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
      refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
      codes: { namespace: 'code', secret: SECRET },
      attempts: { namespace: 'attempt' },
    });
    sessions = module.get<Sessions>(Sessions);
    tokens = module.get<RefreshTokens>(RefreshTokens);
    codes = module.get<OneTimeCodes>(OneTimeCodes);
    attempts = module.get(AttemptLimiter);
  });
  afterAll(() => stage?.stop());

  async function expectRefused(...calls: (() => Promise<unknown>)[]): Promise<void> {
    let settled: PromiseSettledResult<unknown>[] = [];
    const sent = await commandsDuring(stage.stage.server, async () => {
      settled = await Promise.allSettled(calls.map(async (call) => call()));
    });
    const refused = { status: 'rejected', reason: expect.any(CacheArgumentError) as unknown };
    expect(settled).toEqual(calls.map(() => refused));
    expect(sent).toEqual({});
  }

  it.each([[''], [5], [{}], ['x'.repeat(513)], ['\ud800'], [undefined]])('the subject %p', async (given) => {
    const subject = wrong(given);
    await expectRefused(
      () => sessions.create(subject, 'data'),
      () => sessions.list(subject),
      () => sessions.revoke(subject, TOKEN),
      () => sessions.revokeAll(subject),
      () => tokens.issue(subject, 'data'),
      () => tokens.list(subject),
      () => tokens.revokeAll(subject),
      () => codes.issue('login', subject),
      () => codes.issue(subject, 'user:42'),
      () => codes.redeem('login', subject, '123456'),
      () => codes.redeem(subject, 'user:42', '123456'),
      () => codes.issueToken('reset', subject),
      () => codes.issueToken(subject, 'user:42'),
      () => codes.redeemToken(subject, TOKEN),
    );
    if (given !== undefined) {
      await expectRefused(
        () => sessions.regenerate(TOKEN, { subject }),
        () => codes.issue('login', 'user:42', 'data', { bind: subject }),
        () => codes.redeem('login', 'user:42', '123456', { bind: subject }),
      );
    }
  });

  it.each([[undefined], [null], [5], [{}]])('the key %p of attempts', async (key) => {
    await expectRefused(
      () => attempts.hit(wrong(key)),
      () => attempts.peek(wrong(key)),
      () => attempts.reset(wrong(key)),
    );
  });

  it.each([[null], ['30s'], [true], [[]], [() => ({})], [new Date()], [new Map()], [{ ovrlap: '30s' }]])(
    'the options %p',
    async (options) => {
      await expectRefused(
        () => sessions.regenerate(TOKEN, wrong(options)),
        () => sessions.revokeAll('user:42', wrong(options)),
        () => tokens.revokeAll('user:42', wrong(options)),
        () => codes.issue('login', 'user:42', 'data', wrong(options)),
        () => codes.redeem('login', 'user:42', '123456', wrong(options)),
        () => codes.issueToken('reset', 'user:42', 'data', wrong(options)),
      );
    },
  );

  it('options that are known, with values that are not', async () => {
    await expectRefused(
      () => sessions.regenerate(TOKEN, { overlap: 'soon' }),
      () => sessions.regenerate(TOKEN, { subject: 'user:42', overlap: '30s' }),
      () => sessions.regenerate(TOKEN, { data: 'data', overlap: '30s' }),
      () => sessions.revokeAll('user:42', wrong({ thorough: 'yes' })),
      () => tokens.revokeAll('user:42', wrong({ thorough: null })),
      () => codes.issueToken('reset', 'user:42', 'data', wrong({ ttl: null })),
      () => codes.issueToken('reset', 'user:42', 'data', { ttl: '3600' }),
    );
  });

  it.each([[null], [{ theme: 'dark' }], ['dark'], [0]])('%p where there should be a function', async (change) => {
    await expectRefused(
      () => sessions.update(TOKEN, wrong(change)),
      () => tokens.rotate(REFRESH_TOKEN, wrong(change)),
    );
  });

  it.each([[null], [''], [0], ['Firefox'], [['Firefox']], [() => ({})]])('%p about a device', async (about) => {
    await expectRefused(
      () => sessions.create('user:42', 'data', wrong(about)),
      () => tokens.issue('user:42', 'data', wrong(about)),
    );
  });
});
