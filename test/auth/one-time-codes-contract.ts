import { type OneTimeCodes, TooManyAttemptsError } from 'nestjs-redis-cache-store/auth';
import { about, type AuthStage, concurrently, HOUR, MINUTE, SECOND } from './auth-stage.js';

/** What `OneTimeCodes` promises of codes, over any backend. */
export function describeOneTimeCodes(at: () => AuthStage): void {
  describe('OneTimeCodes', () => {
    let stage: AuthStage;
    let codes: OneTimeCodes<string>;
    beforeAll(() => void (stage = at()));
    beforeEach(async () => (codes = await stage.codes<string>()));
    afterEach(() => stage.clean());

    const issue = (data = 'data') => codes.issue('login', 'user:42', data);
    const redeem = (code: string) => codes.redeem('login', 'user:42', code);
    /** Another code of the same shape. */
    const wrong = (code: string) => code.replace(/^./, (first) => String((Number(first) + 1) % 10));
    const refusalOf = (issuing: Promise<string>) =>
      issuing.then(
        () => undefined,
        (error: unknown) => error,
      );

    it('a code has 6 digits, and is ok once', async () => {
      const code = await issue();
      expect(code).toMatch(/^\d{6}$/);
      expect(await redeem(code)).toEqual({ outcome: 'ok', data: 'data' });
      expect(await redeem(code)).toEqual({ outcome: 'none' });
    });

    it('without a code there is none', async () => {
      expect(await redeem('123456')).toEqual({ outcome: 'none' });
    });

    it('a code is valid for 10 minutes', async () => {
      const code = await issue();
      await stage.pass(10 * MINUTE);
      expect(await redeem(code)).toEqual({ outcome: 'none' });
      const next = await issue();
      await stage.pass(9 * MINUTE);
      expect(await redeem(next)).toMatchObject({ outcome: 'ok' });
    });

    it('a code is one of its purpose and subject alone', async () => {
      const code = await issue();
      expect(await codes.redeem('reset', 'user:42', code)).toEqual({ outcome: 'none' });
      expect(await codes.redeem('login', 'user:7', code)).toEqual({ outcome: 'none' });
      await codes.issue('reset', 'user:42');
      expect(await redeem(code)).toMatchObject({ outcome: 'ok' });
    });

    it('a new code replaces an earlier one', async () => {
      const code = await issue();
      let next = await issue('next');
      if (next === code) next = await issue('next'); // one in a million
      expect(await redeem(code)).toEqual({ outcome: 'wrong', attemptsLeft: 2 });
      expect(await redeem(next)).toEqual({ outcome: 'ok', data: 'next' });
    });

    it('spaces and hyphens that somebody types do not matter', async () => {
      const code = await issue();
      expect(await redeem(` ${code.slice(0, 3)} - ${code.slice(3)}\n`)).toMatchObject({ outcome: 'ok' });
    });

    describe('a wrong guess', () => {
      it('costs an attempt and does not burn the code', async () => {
        const code = await issue();
        expect(await redeem(wrong(code))).toEqual({ outcome: 'wrong', attemptsLeft: 2 });
        expect(await redeem('')).toEqual({ outcome: 'wrong', attemptsLeft: 1 });
        expect(await redeem(code)).toMatchObject({ outcome: 'ok' });
      });

      it('burns the code if it is the last one', async () => {
        const code = await issue();
        for (const attemptsLeft of [2, 1, 0]) {
          expect(await redeem(wrong(code))).toEqual({ outcome: 'wrong', attemptsLeft });
        }
        expect(await redeem(code)).toEqual({ outcome: 'none' });
      });

      it('may be anything that a client can send', async () => {
        codes = await stage.codes<string>({ attempts: 100, budget: false });
        const code = await issue();
        const guesses = [undefined, null, 5, {}, [code], 'x'.repeat(10_000), '\ud800', `${code}0`];
        for (const guess of guesses as string[]) {
          expect(await redeem(guess)).toMatchObject({ outcome: 'wrong' });
        }
      });
    });

    it('of 1,000 concurrent guesses no more are compared than there are attempts', async () => {
      const code = await issue();
      const guesses = await concurrently(1000, (i) => redeem(String(i).padStart(6, '0')));
      const compared = guesses.filter(({ outcome }) => outcome !== 'none');
      expect(compared.length).toBeLessThanOrEqual(3);
      expect(compared.length).toBeGreaterThan(0);
      if (compared.every(({ outcome }) => outcome === 'wrong')) expect(await redeem(code)).toEqual({ outcome: 'none' });
    });

    it('of concurrent right guesses one is ok', async () => {
      const code = await issue();
      const guesses = await concurrently(100, () => redeem(code));
      expect(guesses.filter(({ outcome }) => outcome === 'ok')).toHaveLength(1);
      expect(guesses.filter(({ outcome }) => outcome === 'none')).toHaveLength(99);
    });

    describe('the budget', () => {
      it('allows 5 issues an hour for a purpose and subject, then says when the next one is allowed', async () => {
        for (let i = 0; i < 5; i++) await issue();
        const refusal = await refusalOf(issue());
        expect(refusal).toBeInstanceOf(TooManyAttemptsError);
        expect(refusal).toMatchObject({ code: 'TOO_MANY_ATTEMPTS', retryAfter: about(HOUR) });
        await codes.issue('reset', 'user:42');
        await codes.issue('login', 'user:7');
        await stage.pass(HOUR);
        await issue();
      });

      it('allows exactly 5 of 100 concurrent issues', async () => {
        const issued = await concurrently(100, () => refusalOf(issue()));
        expect(issued.filter((refusal) => refusal === undefined)).toHaveLength(5);
      });

      it('allows 10 wrong guesses an hour over all codes, of which the last burns the code', async () => {
        const told: unknown[] = [];
        for (let i = 0; i < 4; i++) {
          const code = await issue();
          for (let guess = 0; guess < 3; guess++) told.push(await redeem(wrong(code)));
        }
        const left = [2, 1, 0].map((attemptsLeft) => ({ outcome: 'wrong', attemptsLeft }));
        const none = { outcome: 'none' };
        expect(told).toEqual([...left, ...left, ...left, { outcome: 'wrong', attemptsLeft: 0 }, none, none]);
        expect(await refusalOf(issue())).toMatchObject({ retryAfter: about(HOUR) });
        await stage.pass(HOUR);
        expect(await redeem(await issue())).toMatchObject({ outcome: 'ok' });
      });

      it('compares no more guesses than it allows, however many are made at once', async () => {
        codes = await stage.codes<string>({ attempts: 50, budget: { wrong: 7 } });
        const code = await issue();
        const guesses = await concurrently(200, () => redeem(wrong(code)));
        const compared = guesses.filter(({ outcome }) => outcome === 'wrong');
        expect(compared.length).toBeLessThanOrEqual(7);
        expect(compared.length).toBeGreaterThan(0);
        expect(await redeem(code)).toEqual({ outcome: 'none' });
      });

      it('is not touched by right guesses, and not by those without a code', async () => {
        codes = await stage.codes<string>({ budget: { issues: 100, wrong: 2 } });
        for (let i = 0; i < 10; i++) {
          expect(await redeem('000000')).toEqual({ outcome: 'none' });
          expect(await redeem(await issue())).toMatchObject({ outcome: 'ok' });
        }
        const code = await issue();
        expect(await redeem(wrong(code))).toEqual({ outcome: 'wrong', attemptsLeft: 1 });
      });

      it('can be left out', async () => {
        codes = await stage.codes<string>({ budget: false });
        for (let i = 0; i < 20; i++) await redeem(wrong(await issue()));
        expect(await redeem(await issue())).toMatchObject({ outcome: 'ok' });
      });
    });

    describe('with `bind`', () => {
      const bind = 'value-of-a-cookie';

      it('only whoever has it can redeem the code', async () => {
        const code = await codes.issue('login', 'user:42', 'data', { bind });
        expect(await redeem(code)).toEqual({ outcome: 'none' });
        expect(await codes.redeem('login', 'user:42', code, { bind: 'other' })).toEqual({ outcome: 'none' });
        expect(await codes.redeem('login', 'user:42', code, { bind })).toEqual({ outcome: 'ok', data: 'data' });
      });

      it('nobody else can replace the code, or spend its attempts or its budget', async () => {
        const code = await codes.issue('login', 'user:42', 'data', { bind });
        for (const other of [{}, { bind: 'other' }]) {
          for (let i = 0; i < 5; i++) {
            const theirs = await codes.issue('login', 'user:42', 'theirs', other);
            for (let guess = 0; guess < 3; guess++) await codes.redeem('login', 'user:42', wrong(theirs), other);
            if (i === 3) break; // their budget is spent
          }
        }
        expect(await codes.redeem('login', 'user:42', wrong(code), { bind })).toMatchObject({ attemptsLeft: 2 });
        expect(await codes.redeem('login', 'user:42', code, { bind })).toMatchObject({ outcome: 'ok' });
      });
    });

    it('counts right codes as wrong guesses in the last minute of the window, and in no other', async () => {
      for (const [window, left] of [
        ['2m', true],
        ['1m', false],
      ] as const) {
        codes = await stage.codes<string>({ budget: { issues: 9, wrong: 2, window } });
        for (let i = 0; i < 2; i++) expect(await redeem(await issue())).toMatchObject({ outcome: 'ok' });
        if (left) await issue();
        else await expect(issue()).rejects.toThrow(TooManyAttemptsError);
      }
    });

    it('takes letters, small ones too, and an alphabet of one’s own', async () => {
      codes = await stage.codes<string>({ alphabet: 'letters' });
      const letters = await issue();
      expect(letters).toMatch(/^[A-HJ-NP-Z]{6}$/);
      expect(await redeem(letters.toLowerCase())).toMatchObject({ outcome: 'ok' });
      codes = await stage.codes<string>({ alphabet: 'ab-', length: 13 });
      const own = await issue();
      expect(own).toMatch(/^[ab-]{13}$/);
      expect(await redeem(own)).toMatchObject({ outcome: 'ok' });
    });

    it('draws every character with the same odds', async () => {
      codes = await stage.codes<string>({ budget: false, length: 64 });
      const drawn = (await concurrently(100, () => issue())).join('');
      for (const digit of '0123456789') {
        const times = drawn.split(digit).length - 1;
        expect(times).toBeGreaterThan(640 - 7 * 24); // seven standard deviations
        expect(times).toBeLessThan(640 + 7 * 24);
      }
    });

    describe('the token of a link', () => {
      it('has 43 characters, and is ok once', async () => {
        const token = await codes.issueToken('reset', 'user:42', 'data');
        expect(token).toMatch(/^[\w-]{43}$/);
        expect(await codes.redeemToken('reset', token)).toEqual({ outcome: 'ok', subject: 'user:42', data: 'data' });
        expect(await codes.redeemToken('reset', token)).toEqual({ outcome: 'none' });
      });

      it('is ok for one of 100 concurrent callers', async () => {
        const token = await codes.issueToken('reset', 'user:42');
        const redeemed = await concurrently(100, () => codes.redeemToken('reset', token));
        expect(redeemed.filter(({ outcome }) => outcome === 'ok')).toHaveLength(1);
      });

      it('of another purpose is none, and stays', async () => {
        const token = await codes.issueToken('reset', 'user:42');
        expect(await codes.redeemToken('login', token)).toEqual({ outcome: 'none' });
        expect(await codes.redeemToken('reset', token)).toMatchObject({ outcome: 'ok' });
      });

      it('lives as long as a code, or as long as it is told to', async () => {
        const [short, long] = [
          await codes.issueToken('reset', 'user:42'),
          await codes.issueToken('reset', 'user:42', 'data', { ttl: '1h' }),
        ];
        await stage.pass(HOUR - 30 * SECOND);
        expect(await codes.redeemToken('reset', short)).toEqual({ outcome: 'none' });
        expect(await codes.redeemToken('reset', long)).toMatchObject({ outcome: 'ok' });
      });

      it('is none if it is malformed', async () => {
        for (const token of ['', 'x', undefined, 5] as string[]) {
          expect(await codes.redeemToken('reset', token)).toEqual({ outcome: 'none' });
        }
      });
    });
  });
}
