import type { RefreshEvent, RefreshTokens } from 'nestjs-redis-cache-store/auth';
import { type AuthStage, DAY, HOUR } from './auth-stage.js';

/** What `RefreshTokens` promises of the families of a subject, over any backend. */
export function describeRefreshFamilies(at: () => AuthStage): void {
  describe('families of refresh tokens', () => {
    let stage: AuthStage;
    let tokens: RefreshTokens<string>;
    let events: RefreshEvent[];
    beforeAll(() => void (stage = at()));
    beforeEach(async () => {
      tokens = await stage.refreshTokens<string>();
      events = [];
      tokens.events$.subscribe((event) => events.push(event));
    });
    afterEach(() => stage.clean());

    async function rotate(token: string): Promise<string> {
      const rotation = await tokens.rotate(token);
      return 'token' in rotation ? rotation.token : '';
    }

    describe('list', () => {
      it('shows the families of a subject, newest first, and nobody else’s', async () => {
        const start = Date.now();
        await tokens.issue('user:42', 'first', { device: 'phone' });
        await stage.pass(HOUR);
        await tokens.issue('user:42', 'second');
        await tokens.issue('user:7', 'other');
        const [second, first, ...others] = await tokens.list('user:42');
        expect(others).toEqual([]);
        expect(first).toEqual({
          family: expect.stringMatching(/^[\w-]{43}$/),
          subject: 'user:42',
          data: 'first',
          createdAt: expect.any(Date),
          rotatedAt: first?.createdAt,
          expiresAt: new Date(Number(first?.createdAt) + 14 * DAY),
          about: { device: 'phone' },
        });
        expect(second).not.toHaveProperty('about');
        expect(Number(first?.createdAt) - start).toBeLessThan(HOUR / 2);
        expect(Number(second?.createdAt) - Number(first?.createdAt)).toBeGreaterThanOrEqual(HOUR);
      });

      it('shows one family however often it was rotated, and when that was last', async () => {
        let token = await tokens.issue('user:42', 'data');
        await stage.pass(DAY);
        for (let i = 0; i < 5; i++) token = await rotate(token);
        const [family, ...others] = await tokens.list('user:42');
        expect(others).toEqual([]);
        expect(Number(family?.rotatedAt) - Number(family?.createdAt)).toBeGreaterThanOrEqual(DAY);
        expect(Number(family?.expiresAt) - Number(family?.rotatedAt)).toBe(14 * DAY);
      });
    });

    describe('revoke', () => {
      it('ends the family of a token; further ones find nothing', async () => {
        const token = await tokens.issue('user:42', 'data');
        expect(await tokens.revoke(token)).toBe(true);
        expect(await tokens.revoke(token)).toBe(false);
        expect(await tokens.rotate(token)).toEqual({ outcome: 'unknown' });
        expect(await tokens.list('user:42')).toEqual([]);
      });

      it('takes an older token as well: a logout is one', async () => {
        const token = await tokens.issue('user:42', 'data');
        const current = await rotate(await rotate(token));
        expect(await tokens.revoke(token)).toBe(true);
        expect(await tokens.rotate(current)).toEqual({ outcome: 'unknown' });
      });

      it('says false of a family that was ended by reuse, whose old tokens go on being reused', async () => {
        const token = await tokens.issue('user:42', 'data');
        const current = await rotate(await rotate(token));
        await tokens.rotate(token);
        expect(await tokens.revoke(current)).toBe(false);
        expect(await tokens.rotate(token)).toMatchObject({ outcome: 'reused' });
      });
    });

    describe('revokeAll', () => {
      it('ends all families of the subject, and of no other', async () => {
        const mine = [await tokens.issue('user:42', 'a'), await rotate(await tokens.issue('user:42', 'b'))];
        const other = await tokens.issue('user:7', 'c');
        expect(await tokens.revokeAll('user:42')).toBe(2);
        for (const token of mine) expect(await tokens.rotate(token)).toEqual({ outcome: 'unknown' });
        expect(await tokens.rotate(other)).toMatchObject({ outcome: 'rotated' });
        expect(await tokens.revokeAll('user:42')).toBe(0);
      });

      it('ends families that are being rotated', async () => {
        let current = await Promise.all(Array.from({ length: 20 }, () => tokens.issue('user:42', 'data')));
        const churn = { isOver: false };
        const rotating = current.map(async (token, i) => {
          for (let each = token; !churn.isOver && each !== '';) current[i] = each = await rotate(each);
        });
        await tokens.revokeAll('user:42');
        churn.isOver = true;
        await Promise.all(rotating);
        current = current.filter((token) => token !== '');
        for (const token of current) expect(await tokens.rotate(token)).toEqual({ outcome: 'unknown' });
        expect(await tokens.list('user:42')).toEqual([]);
      });
    });

    it('emits what happened, with a hash for the family', async () => {
      const token = await tokens.issue('user:42', 'data');
      const family = (await tokens.list('user:42'))[0]?.family;
      await tokens.rotate(token);
      await tokens.rotate(token);
      await tokens.revoke(token);
      await tokens.issue('user:42', 'data');
      await tokens.revokeAll('user:42');
      const subject = 'user:42';
      expect(events).toEqual([
        { type: 'issued', family, subject },
        { type: 'rotated', family, subject },
        { type: 'retried', family, subject },
        { type: 'revoked', family, subject },
        { type: 'issued', family: expect.any(String), subject },
        { type: 'revoked', family: events[4]?.family, subject },
      ]);
      expect(token).not.toContain(family);
    });

    it('completes the events when the application closes', async () => {
      let isComplete = false;
      tokens.events$.subscribe({ complete: () => (isComplete = true) });
      await stage.clean();
      expect(isComplete).toBe(true);
    });
  });
}
