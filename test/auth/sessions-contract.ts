import { CacheArgumentError } from 'nestjs-redis-cache-store';
import type { Sessions } from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { type AuthStage, concurrently, HOUR, MINUTE, SECOND } from './auth-stage.js';

interface Data {
  visits: number;
}

/** What `Sessions` promises of one session, over any backend. */
export function describeSessions(at: () => AuthStage): void {
  describe('Sessions', () => {
    let stage: AuthStage;
    let sessions: Sessions<Data>;
    beforeAll(() => void (stage = at()));
    beforeEach(async () => (sessions = await stage.sessions<Data>()));
    afterEach(() => stage.clean());

    const create = async (subject: string | null = 'user:42') => sessions.create(subject, { visits: 0 });
    const isLive = async (token: string) => (await sessions.get(token)) !== undefined;

    describe('create and get', () => {
      it('a token has 43 characters, and the id of its session does not tell it', async () => {
        const { token, session } = await create();
        expect(token).toMatch(/^[\w-]{43}$/);
        expect(session.id).toMatch(/^[\w-]{43}$/);
        expect(session.id).not.toBe(token);
        expect((await create()).token).not.toBe(token);
      });

      it('a session says whose it is, what it holds, when it began and when it ends', async () => {
        const before = Date.now();
        const about = { device: 'Firefox on Linux' };
        const { token, session } = await sessions.create('user:42', { visits: 0 }, about);
        const { createdAt } = session;
        expect(Math.abs(Number(createdAt) - before)).toBeLessThan(10 * SECOND);
        expect(await sessions.get(token)).toMatchObject({
          id: session.id,
          subject: 'user:42',
          data: { visits: 0 },
          createdAt,
          lastSeenAt: createdAt,
          authenticatedAt: createdAt,
          expiresAt: new Date(Number(createdAt) + 30 * MINUTE),
          about,
        });
      });

      it('nobody was authenticated in a session before a login, nor can be', async () => {
        const { token, session } = await create(null);
        expect(session).toMatchObject({ subject: null, authenticatedAt: null });
        expect((await sessions.get(token))?.isFresh('1h')).toBe(false);
        expect(await sessions.reauthenticate(token)).toMatchObject({ subject: null, authenticatedAt: null });
      });

      it.each(['', 'x', 'x'.repeat(42), 'x'.repeat(44), `${'x'.repeat(42)}*`, 'x'.repeat(43)])(
        'a text that is no token finds nothing: "%s"',
        async (token) => {
          expect(await sessions.get(token)).toBeUndefined();
        },
      );

      it('the id of a session is no token', async () => {
        const { session } = await create();
        expect(await sessions.get(session.id)).toBeUndefined();
      });
    });

    describe('lifetime', () => {
      it('a session that is not used for `idle` is over', async () => {
        const { token } = await create();
        await stage.pass(29 * MINUTE);
        expect(await isLive(token)).toBe(true);
        await stage.pass(29 * MINUTE);
        expect(await isLive(token)).toBe(true);
        await stage.pass(30 * MINUTE + SECOND);
        expect(await isLive(token)).toBe(false);
        expect(await sessions.list('user:42')).toEqual([]);
      });

      it('`absolute` ends a session, however much it is used', async () => {
        const { token } = await create();
        for (let passed = 0; passed < 12 * HOUR - 20 * MINUTE; passed += 20 * MINUTE) {
          expect(await isLive(token)).toBe(true);
          await stage.pass(20 * MINUTE);
        }
        const session = await sessions.get(token);
        expect(Number(session?.expiresAt) - Number(session?.createdAt)).toBe(12 * HOUR);
        await stage.pass(20 * MINUTE + SECOND);
        expect(await isLive(token)).toBe(false);
      });

      it('`lastSeenAt` is kept to a tenth of `idle`', async () => {
        const { token, session } = await create();
        const seen = async () => Number((await sessions.get(token))?.lastSeenAt) - Number(session.createdAt);
        await stage.pass(2 * MINUTE);
        expect(await seen()).toBe(0);
        await stage.pass(MINUTE + SECOND);
        expect(await seen()).toBeGreaterThanOrEqual(3 * MINUTE);
        expect(await seen()).toBeLessThan(4 * MINUTE);
      });

      it('update and reauthenticate keep a session alive as well', async () => {
        const { token } = await create();
        for (let i = 0; i < 2; i++) {
          await stage.pass(20 * MINUTE);
          await sessions.update(token, (data) => data);
          await stage.pass(20 * MINUTE);
          await sessions.reauthenticate(token);
        }
        expect(await isLive(token)).toBe(true);
      });

      it('list keeps no session alive', async () => {
        const { token } = await create();
        for (let i = 0; i < 3; i++) {
          await stage.pass(10 * MINUTE + SECOND);
          await sessions.list('user:42');
        }
        expect(await isLive(token)).toBe(false);
      });

      it('a session may be asked to end by one of both alone, or never', async () => {
        sessions = await stage.sessions<Data>({ idle: null, absolute: '1h' });
        const short = await create();
        await stage.pass(59 * MINUTE);
        expect(await isLive(short.token)).toBe(true);
        await stage.pass(2 * MINUTE);
        expect(await isLive(short.token)).toBe(false);
        sessions = await stage.sessions<Data>({ idle: null, absolute: null });
        const { token, session } = await create();
        expect(session.expiresAt).toBeNull();
        await stage.pass(10_000 * HOUR);
        expect(await isLive(token)).toBe(true);
        expect(Number((await sessions.get(token))?.lastSeenAt)).toBeGreaterThan(Number(session.createdAt));
        sessions = await stage.sessions<Data>({ idle: '1h', absolute: null });
        const used = await create();
        for (let i = 0; i < 30; i++) {
          await stage.pass(59 * MINUTE);
          expect(await isLive(used.token)).toBe(true);
        }
      });
    });

    describe('update', () => {
      it('changes the data, and loses none of 100 concurrent changes', async () => {
        const { token } = await create();
        await concurrently(100, () => sessions.update(token, ({ visits }) => ({ visits: visits + 1 })));
        expect(await sessions.get(token)).toMatchObject({ data: { visits: 100 }, subject: 'user:42' });
      });

      it('passes an error of the change through, and changes nothing', async () => {
        const { token } = await create();
        await expect(sessions.update(token, () => Promise.reject(new RangeError('no')))).rejects.toThrow(RangeError);
        expect(await sessions.get(token)).toMatchObject({ data: { visits: 0 } });
      });

      it('gives undefined for a token without a session, without asking for a change', async () => {
        let asked = 0;
        const { token } = await create();
        await sessions.revokeToken(token);
        for (const gone of [token, 'malformed']) {
          expect(await sessions.update(gone, () => ({ visits: ++asked }))).toBeUndefined();
          expect(await sessions.reauthenticate(gone)).toBeUndefined();
        }
        expect(asked).toBe(0);
      });
    });

    describe('reauthenticate', () => {
      it('makes a session fresh again', async () => {
        const { token } = await create();
        await stage.pass(6 * MINUTE);
        expect((await sessions.get(token))?.isFresh('5m')).toBe(false);
        expect((await sessions.get(token))?.isFresh('10m')).toBe(true);
        expect((await sessions.reauthenticate(token))?.isFresh('5m')).toBe(true);
        expect((await sessions.get(token))?.isFresh('5m')).toBe(true);
      });

      it('does not move `absolute`', async () => {
        const { token, session } = await create();
        await stage.pass(20 * MINUTE);
        expect((await sessions.reauthenticate(token))?.createdAt).toEqual(session.createdAt);
      });

      it('isFresh refuses what is no duration', async () => {
        const { session } = await create();
        expect(() => session.isFresh('soon')).toThrow(CacheArgumentError);
      });
    });

    describe('a schema', () => {
      const schema = z.object({ since: z.string().transform((text) => new Date(text)) });
      const since = '2026-11-27T00:00:00.000Z';

      it('is applied to what the application gave, however often the session is used', async () => {
        const checked = await stage.sessions<{ since: Date }>({ schema });
        const { token } = await checked.create('user:42', { since } as never);
        for (let i = 0; i < 3; i++) {
          await stage.pass(10 * MINUTE);
          expect((await checked.get(token))?.data).toEqual({ since: new Date(since) });
        }
        await checked.reauthenticate(token);
        expect((await checked.list('user:42')).map(({ data }) => data)).toEqual([{ since: new Date(since) }]);
      });

      it('refuses data that do not match, with nothing created or changed', async () => {
        const checked = await stage.sessions<{ since: Date }>({ schema });
        const wrong = { since: 5 } as never;
        await expect(checked.create('user:42', wrong)).rejects.toThrow(CacheArgumentError);
        expect(await checked.list('user:42')).toEqual([]);
        const { token } = await checked.create('user:42', { since } as never);
        await expect(checked.update(token, () => wrong)).rejects.toThrow(CacheArgumentError);
        await expect(checked.regenerate(token, { data: wrong })).rejects.toThrow(CacheArgumentError);
        expect((await checked.get(token))?.data).toEqual({ since: new Date(since) });
      });
    });
  });
}
