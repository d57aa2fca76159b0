import { randomBytes } from 'node:crypto';
import { OneTimeCodes, type OneTimeCodesOptions } from 'nestjs-redis-cache-store/auth';
import { AuthStage, SECRET } from './auth-stage.js';

describe('the secret of one-time codes', () => {
  let stage: AuthStage;
  beforeAll(async () => (stage = await AuthStage.redis()));
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  it('can be rotated while codes are under way, and keeps their attempts and budgets', async () => {
    const namespace = stage.namespace();
    const before = await stage.codes({ namespace });
    const after = await stage.codes({ namespace, secret: [randomBytes(32), SECRET] });
    const code = await before.issue('login', 'user:42');
    expect(await after.redeem('login', 'user:42', 'wrong')).toEqual({ outcome: 'wrong', attemptsLeft: 2 });
    expect(await after.redeem('login', 'user:42', code)).toMatchObject({ outcome: 'ok' });
    for (let i = 0; i < 4; i++) await after.issue('login', 'user:42');
    await expect(before.issue('login', 'user:42')).rejects.toThrow('too many attempts');
  });

  const [a, b] = [randomBytes(32), randomBytes(32)];
  const steps = [[a], [a, b], [b, a], [b]];
  it.each([
    ['secret', (codes: OneTimeCodesOptions, secret: Buffer[]) => stage.open({ codes: { ...codes, secret } })],
    ['encryption', (codes: OneTimeCodesOptions, keys: Buffer[]) => stage.open({ codes }, { encryption: { keys } })],
  ])('takes codes of the step before and after, as keys of `%s` are rotated, and keeps budgets', async (_, open) => {
    const codes = { namespace: stage.namespace(), budget: { issues: 7, wrong: 3 } };
    const instances = await Promise.all(steps.map(async (keys) => (await open(codes, keys)).get(OneTimeCodes)));
    for (const [i, one] of instances.entries()) {
      for (const other of [instances[i + 1], instances[i - 1]]) {
        if (!other) continue;
        const replaced = await one.issue('login', 'user:42');
        const code = await other.issue('login', `user:${i}`);
        expect(await one.redeem('login', `user:${i}`, code)).toMatchObject({ outcome: 'ok' });
        expect(await other.redeem('login', `user:${i}`, code)).toEqual({ outcome: 'none' });
        expect(await other.redeem('login', 'user:42', replaced)).toMatchObject({ outcome: 'ok' });
      }
    }
    for (const one of instances) {
      await one.issue('reset', 'user:42');
      expect(await one.redeem('reset', 'user:42', 'wrong')).toMatchObject({ outcome: 'wrong' });
    }
    for (const one of instances) await expect(one.issue('reset', 'user:42')).rejects.toThrow('too many attempts');
  });

  it.each([
    [
      'secret',
      (codes: OneTimeCodesOptions, keys: (Buffer | string)[]) => stage.open({ codes: { ...codes, secret: keys } }),
    ],
    [
      'encryption',
      (codes: OneTimeCodesOptions, keys: (Buffer | string)[]) => stage.open({ codes }, { encryption: { keys } }),
    ],
  ])('counts once if it stands in `%s` twice', async (_, open) => {
    const options = { namespace: stage.namespace(), budget: { issues: 3, wrong: 3 } };
    const codes = (await open(options, [a, b, a.toString('hex')])).get(OneTimeCodes);
    for (let i = 0; i < 3; i++) await codes.issue('login', 'user:42');
    await expect(codes.issue('login', 'user:42')).rejects.toThrow('too many attempts');
    await codes.issue('login', 'user:7');
    for (const attemptsLeft of [2, 1, 0]) {
      expect(await codes.redeem('login', 'user:7', 'wrong')).toEqual({ outcome: 'wrong', attemptsLeft });
    }
  });

  it('makes codes of another secret, or of another namespace, none', async () => {
    const namespace = stage.namespace();
    const code = await (await stage.codes({ namespace })).issue('login', 'user:42');
    const other = await stage.codes({ namespace, secret: randomBytes(32) });
    expect(await other.redeem('login', 'user:42', code)).toEqual({ outcome: 'none' });
  });

  it('is derived from the encryption keys of the module where it is left out', async () => {
    const codes = { namespace: stage.namespace() };
    const [key, next] = [randomBytes(32), randomBytes(32)];
    const open = async (keys: Buffer[]) => (await stage.open({ codes }, { encryption: { keys } })).get(OneTimeCodes);
    const [before, after] = [await open([key]), await open([next, key])];
    const code = await before.issue('login', 'user:42', 'data');
    expect(await after.redeem('login', 'user:42', code)).toEqual({ outcome: 'ok', data: 'data' });
  });
});

describe('the odds of a guesser', () => {
  let stage: AuthStage;
  beforeAll(async () => (stage = await AuthStage.memory()));
  afterAll(() => stage?.stop());

  it('are 1 in 333,333 for a code and 1 in 4,000 for a day with the defaults, which the boot logs', async () => {
    const { odds } = await stage.codes();
    expect(odds.code).toBeCloseTo(1 / 333_333, 10);
    expect(odds.day).toBeCloseTo(1 / 4000, 10);
    expect(stage.log).toContainEqual(expect.stringContaining('1 in 333,333 for a code and 1 in 4,000 for a day'));
  });

  it('follow from the options, and are certainty over a day without a budget', async () => {
    const { odds } = await stage.codes({ alphabet: 'letters', attempts: 5, budget: { wrong: 100, window: '24h' } });
    expect(odds).toEqual({ code: 5 / 24 ** 6, day: 200 / 24 ** 6 });
    expect((await stage.codes({ budget: false })).odds.day).toBe(1);
  });
});
