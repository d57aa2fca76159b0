import type { AttemptLimiter } from 'nestjs-redis-cache-store/auth';
import { about, type AuthStage, concurrently, HOUR, MINUTE } from './auth-stage.js';

/** What `AttemptLimiter` promises, over any backend. */
export function describeAttemptLimiter(at: () => AuthStage): void {
  describe('AttemptLimiter', () => {
    let stage: AuthStage;
    let attempts: AttemptLimiter;
    beforeAll(() => void (stage = at()));
    beforeEach(async () => (attempts = await stage.attempts({ limit: 3, window: '15m' })));
    afterEach(() => stage.clean());

    async function hitTimes(limiter: AttemptLimiter, times: number, key = 'key') {
      let last = await limiter.peek(key);
      for (let i = 0; i < times; i++) last = await limiter.hit(key);
      return last;
    }

    it('allows as many hits as the limit says, counts them, and refuses the next one', async () => {
      expect(await attempts.hit('key')).toEqual({ allowed: true, count: 1, remaining: 2, retryAfter: 0 });
      expect(await attempts.hit('key')).toEqual({ allowed: true, count: 2, remaining: 1, retryAfter: 0 });
      expect(await attempts.hit('key')).toEqual({ allowed: true, count: 3, remaining: 0, retryAfter: 0 });
      expect(await attempts.hit('key')).toEqual({
        allowed: false,
        count: 3,
        remaining: 0,
        retryAfter: about(15 * MINUTE),
      });
    });

    it('allows hits again when the window is over, which began with the first hit', async () => {
      await attempts.hit('key');
      await stage.pass(10 * MINUTE);
      expect(await hitTimes(attempts, 3)).toMatchObject({ allowed: false, retryAfter: about(5 * MINUTE) });
      await stage.pass(5 * MINUTE);
      expect(await attempts.hit('key')).toMatchObject({ allowed: true, count: 1 });
    });

    it('allows 10 hits in 15 minutes where the options do not say', async () => {
      const defaults = await stage.attempts();
      expect(await hitTimes(defaults, 10)).toEqual({ allowed: true, count: 10, remaining: 0, retryAfter: 0 });
      expect(await defaults.hit('key')).toMatchObject({ allowed: false, retryAfter: about(15 * MINUTE) });
    });

    it('allows exactly as many of 100 concurrent hits as the limit says', async () => {
      const hits = await concurrently(100, () => attempts.hit('key'));
      expect(hits.filter(({ allowed }) => allowed).map(({ count }) => count)).toEqual(
        expect.arrayContaining([1, 2, 3]),
      );
      expect(hits.filter(({ allowed }) => !allowed)).toHaveLength(97);
    });

    it('counts each key by itself', async () => {
      await hitTimes(attempts, 4, 'one');
      expect(await attempts.hit('other')).toMatchObject({ allowed: true, count: 1 });
    });

    describe('peek', () => {
      it('says of an unknown key that it is allowed, with a count of 0', async () => {
        expect(await attempts.peek('key')).toEqual({ allowed: true, count: 0, remaining: 3, retryAfter: 0 });
      });

      it('says what a hit would be told, and counts none', async () => {
        await attempts.hit('key');
        for (let i = 0; i < 5; i++) {
          expect(await attempts.peek('key')).toEqual({ allowed: true, count: 1, remaining: 2, retryAfter: 0 });
        }
        const refused = { allowed: false, count: 3, remaining: 0, retryAfter: about(15 * MINUTE) };
        await hitTimes(attempts, 2);
        expect(await attempts.peek('key')).toEqual(refused);
        await attempts.hit('key');
        expect(await attempts.peek('key')).toEqual(refused);
      });
    });

    describe('reset', () => {
      it('forgets hits, so that all are allowed again', async () => {
        await hitTimes(attempts, 4);
        expect(await attempts.reset('key')).toBe(true);
        expect(await attempts.hit('key')).toMatchObject({ allowed: true, count: 1 });
      });

      it('says false where there is nothing to forget', async () => {
        expect(await attempts.reset('key')).toBe(false);
      });

      it('forgets lockouts, so that the next one is a first one', async () => {
        const locking = await stage.attempts({ limit: 1, lockout: { first: '1m', factor: 10, longest: '1h' } });
        expect(await hitTimes(locking, 2)).toMatchObject({ retryAfter: about(MINUTE) });
        expect(await locking.reset('key')).toBe(true);
        expect(await hitTimes(locking, 2)).toMatchObject({ allowed: false, retryAfter: about(MINUTE) });
      });
    });

    describe('with a lockout', () => {
      const lockout = { first: '1m', factor: 10, longest: '1h' };
      beforeEach(async () => (attempts = await stage.attempts({ limit: 2, window: '1d', lockout })));

      it('the hit after the limit locks, for as long as `first` says', async () => {
        expect(await hitTimes(attempts, 2)).toMatchObject({ allowed: true, count: 2 });
        expect(await attempts.hit('key')).toEqual({
          allowed: false,
          count: 2,
          remaining: 0,
          retryAfter: about(MINUTE),
        });
        await stage.pass(MINUTE);
        expect(await attempts.hit('key')).toMatchObject({ allowed: true, count: 1 });
      });

      it('each further series locks for longer, up to `longest`', async () => {
        for (const lock of [MINUTE, 10 * MINUTE, HOUR, HOUR]) {
          expect(await hitTimes(attempts, 3)).toMatchObject({ allowed: false, retryAfter: about(lock) });
          expect(await attempts.peek('key')).toMatchObject({ allowed: false, retryAfter: about(lock) });
          await stage.pass(lock);
        }
      });

      it('hits within a lockout do not make it longer', async () => {
        await hitTimes(attempts, 3);
        await stage.pass(30_000);
        expect(await hitTimes(attempts, 5)).toMatchObject({ allowed: false, retryAfter: about(30_000) });
      });

      it('a key that was not locked for `longest` begins at `first` again', async () => {
        await hitTimes(attempts, 3);
        await stage.pass(MINUTE + HOUR);
        expect(await hitTimes(attempts, 3)).toMatchObject({ allowed: false, retryAfter: about(MINUTE) });
      });

      it('lasts a minute, then two, up to an hour, where the options do not say', async () => {
        const defaults = await stage.attempts({ limit: 1, lockout: {} });
        for (const lock of [1, 2, 4, 8, 16, 32, 60, 60]) {
          expect(await hitTimes(defaults, 2)).toMatchObject({ allowed: false, retryAfter: about(lock * MINUTE) });
          await stage.pass(lock * MINUTE);
        }
      });
    });

    it('takes any text for a key, such as what a client sent', async () => {
      const keys = ['', '\u0000', 'x'.repeat(100_000), '\ud800', '*', 'a:b', 'ä@example.com'];
      for (const key of keys) expect(await attempts.hit(key)).toMatchObject({ count: 1 });
      for (const key of keys) expect(await attempts.peek(key)).toMatchObject({ count: 1 });
    });
  });
}
