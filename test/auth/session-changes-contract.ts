import type { Sessions } from 'nestjs-redis-cache-store/auth';
import { type AuthStage, concurrently, HOUR, MINUTE, SECOND } from './auth-stage.js';

/** What `regenerate` promises, over any backend. */
export function describeSessionChanges(at: () => AuthStage): void {
  describe('regenerate', () => {
    let stage: AuthStage;
    let sessions: Sessions<string>;
    beforeAll(() => void (stage = at()));
    beforeEach(async () => (sessions = await stage.sessions<string>()));
    afterEach(() => stage.clean());

    const create = async (subject: string | null = 'user:42') => sessions.create(subject, 'data', { device: 'phone' });
    async function regenerate(token: string, options?: Parameters<typeof sessions.regenerate>[1]) {
      const created = await sessions.regenerate(token, options);
      if (!created) throw new Error('there is no such session');
      return created;
    }

    it('gives a session a new token, and the old one is worth nothing', async () => {
      const { token, session } = await create();
      const next = await regenerate(token);
      expect(next.token).toMatch(/^[\w-]{43}$/);
      expect(next.session.id).not.toBe(session.id);
      expect(next.session).toMatchObject({ subject: 'user:42', data: 'data', about: { device: 'phone' } });
      expect(next.session.createdAt).toEqual(session.createdAt);
      expect(await sessions.get(token)).toBeUndefined();
      expect(await sessions.get(next.token)).toMatchObject({ id: next.session.id, data: 'data' });
      expect(await sessions.list('user:42')).toHaveLength(1);
    });

    it('`absolute` goes on counting', async () => {
      let { token } = await create();
      for (let i = 0; i < 35; i++) {
        await stage.pass(20 * MINUTE);
        ({ token } = await regenerate(token));
      }
      await stage.pass(20 * MINUTE + SECOND);
      expect(await sessions.get(token)).toBeUndefined();
    });

    describe('with a subject', () => {
      it('a token from before the login never reads what came after it', async () => {
        const { token } = await create(null);
        const next = await regenerate(token, { subject: 'user:42', data: 'secret' });
        expect(next.session).toMatchObject({ subject: 'user:42', data: 'secret' });
        expect(await sessions.get(token)).toBeUndefined();
        expect(await sessions.update(token, () => 'stolen')).toBeUndefined();
        expect(await sessions.regenerate(token)).toBeUndefined();
        expect(await sessions.get(next.token)).toMatchObject({ data: 'secret' });
        expect(await sessions.list('user:42')).toHaveLength(1);
      });

      it('sets authenticatedAt and starts `absolute` anew', async () => {
        let { token } = await create(null);
        for (let i = 0; i < 11; i++) {
          await stage.pass(HOUR - MINUTE).then(() => undefined);
          ({ token } = (await sessions.regenerate(token)) ?? (await create(null)));
        }
        const login = await regenerate(token, { subject: 'user:42' });
        expect(login.session.isFresh('1m')).toBe(true);
        ({ token } = login);
        for (let i = 0; i < 33; i++) {
          await stage.pass(20 * MINUTE);
          expect(await sessions.get(token)).toBeDefined();
        }
      });

      it('moves a session from one subject to another', async () => {
        const { token } = await create('user:7');
        await regenerate(token, { subject: 'user:42' });
        expect(await sessions.list('user:7')).toEqual([]);
        expect(await sessions.list('user:42')).toHaveLength(1);
      });
    });

    describe('with an overlap', () => {
      it('the old token leads to the new session for so long, and no longer', async () => {
        const { token } = await create();
        const next = await regenerate(token, { overlap: '30s' });
        await stage.pass(25 * SECOND);
        expect(await sessions.get(token)).toMatchObject({ id: next.session.id, data: 'data' });
        expect(await sessions.list('user:42')).toHaveLength(1);
        await stage.pass(6 * SECOND);
        expect(await sessions.get(token)).toBeUndefined();
        expect(await sessions.get(next.token)).toBeDefined();
      });

      it('an update by the old token changes the new session', async () => {
        const { token } = await create();
        const next = await regenerate(token, { overlap: '30s' });
        await sessions.update(token, (data) => `${data} changed`);
        expect(await sessions.get(next.token)).toMatchObject({ data: 'data changed' });
        expect((await sessions.reauthenticate(token))?.id).toBe(next.session.id);
      });

      it('a revocation by the old token, or by the old id, ends the new session', async () => {
        for (const how of ['token', 'id']) {
          const { token, session } = await create();
          const next = await regenerate(token, { overlap: '30s' });
          const isRevoked = how === 'id' ? sessions.revoke('user:42', session.id) : sessions.revokeToken(token);
          expect(await isRevoked).toBe(true);
          expect(await sessions.get(next.token)).toBeUndefined();
          expect(await sessions.get(token)).toBeUndefined();
        }
      });

      it('a revocation by the new token, by its id, or of all ends both', async () => {
        for (const how of ['token', 'id', 'all']) {
          const { token } = await create();
          const next = await regenerate(token, { overlap: '30s' });
          if (how === 'token') expect(await sessions.revokeToken(next.token)).toBe(true);
          if (how === 'id') expect(await sessions.revoke('user:42', next.session.id)).toBe(true);
          if (how === 'all') expect(await sessions.revokeAll('user:42')).toBe(1);
          expect(await sessions.get(next.token)).toBeUndefined();
          expect(await sessions.get(token)).toBeUndefined();
        }
      });

      it('the old token cannot be regenerated again', async () => {
        const { token } = await create();
        await regenerate(token, { overlap: '30s' });
        expect(await sessions.regenerate(token)).toBeUndefined();
      });
    });

    it.each([{}, { subject: 'user:7' }, { overlap: '30s' }])(
      'of 50 concurrent calls with one token one wins, the others get undefined: %j',
      async (options) => {
        const { token } = await create();
        const created = await concurrently(50, () => sessions.regenerate(token, options));
        const winners = created.filter((each) => each !== undefined);
        expect(winners).toHaveLength(1);
        expect(await sessions.get(winners[0]?.token ?? '')).toBeDefined();
        expect(await sessions.list(options.subject ?? 'user:42')).toHaveLength(1);
      },
    );

    it('gives undefined for a token without a session', async () => {
      const { token } = await create();
      await sessions.revokeToken(token);
      for (const gone of [token, '', 'x'.repeat(43)]) expect(await sessions.regenerate(gone)).toBeUndefined();
    });

    it('changes that come meanwhile are not lost', async () => {
      const { token } = await create();
      const updating = concurrently(20, (i) => sessions.update(token, () => `change ${i}`));
      const next = await regenerate(token, { overlap: '1m' });
      const last = (await updating).filter((session) => session !== undefined);
      expect(last).toHaveLength(20);
      expect((await sessions.get(next.token))?.data).toMatch(/^change \d+$/);
    });
  });
}
