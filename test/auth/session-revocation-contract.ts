import { type SessionEvent, type Sessions, TooManySessionsError } from 'nestjs-redis-cache-store/auth';
import { SessionRecords } from '../../lib/auth/session-records.js';
import { type AuthStage, concurrently, MINUTE } from './auth-stage.js';

/** What `Sessions` promises of the sessions of a subject, over any backend. */
export function describeSessionRevocation(at: () => AuthStage): void {
  describe('sessions of a subject', () => {
    let stage: AuthStage;
    let sessions: Sessions<string>;
    beforeAll(() => void (stage = at()));
    beforeEach(async () => (sessions = await stage.sessions<string>()));
    afterEach(() => stage.clean());

    const create = (subject: string | null = 'user:42') => sessions.create(subject, 'data');
    const idsOf = async (subject = 'user:42') => (await sessions.list(subject)).map(({ id }) => id);

    it('list shows the sessions of a subject, newest first, and nobody else’s', async () => {
      const ids: string[] = [];
      for (let i = 0; i < 3; i++) {
        ids.unshift((await create()).session.id);
        await stage.pass(MINUTE);
      }
      await create('user:7');
      await create(null);
      expect(await idsOf()).toEqual(ids);
    });

    it('revoke ends one session, and another subject’s is not its business', async () => {
      const [one, other] = [await create(), await create('user:7')];
      expect(await sessions.revoke('user:42', other.session.id)).toBe(false);
      expect(await sessions.get(other.token)).toBeDefined();
      expect(await sessions.revoke('user:42', one.session.id)).toBe(true);
      expect(await sessions.revoke('user:42', one.session.id)).toBe(false);
      expect(await sessions.get(one.token)).toBeUndefined();
      expect(await sessions.revoke('user:42', 'x')).toBe(false);
      expect(await sessions.revoke('user:42', undefined as never)).toBe(false);
    });

    it('revokeToken is the logout', async () => {
      const { token } = await create(null);
      expect(await sessions.revokeToken(token)).toBe(true);
      expect(await sessions.revokeToken(token)).toBe(false);
      expect(await sessions.revokeToken('x')).toBe(false);
      expect(await sessions.get(token)).toBeUndefined();
    });

    it('revokeOthers ends all sessions of the subject but one', async () => {
      const own = await create();
      await concurrently(4, () => create());
      const other = await create('user:7');
      expect(await sessions.revokeOthers(own.token)).toBe(4);
      expect(await idsOf()).toEqual([own.session.id]);
      expect(await sessions.get(other.token)).toBeDefined();
      expect(await sessions.revokeOthers(own.token)).toBe(0);
      expect(await sessions.revokeOthers('x')).toBe(0);
      expect(await sessions.revokeOthers((await create(null)).token)).toBe(0);
    });

    it('revokeAll ends all sessions of the subject, also thoroughly', async () => {
      for (const options of [undefined, { thorough: true }]) {
        const mine = await concurrently(5, () => create());
        const other = await create('user:7');
        expect(await sessions.revokeAll('user:42', options)).toBe(5);
        for (const { token } of mine) expect(await sessions.get(token)).toBeUndefined();
        expect(await sessions.get(other.token)).toBeDefined();
        expect(await sessions.revokeAll('user:42', options)).toBe(0);
      }
    });

    it('revokeAll ends sessions that are being regenerated, updated and used', async () => {
      const churn = { isOver: false };
      const tokens = (await concurrently(15, () => create())).map(({ token }) => token);
      const using = tokens.map(async (_, i) => {
        for (let round = 0; !churn.isOver && tokens[i]; round++) {
          const token = tokens[i] ?? '';
          if (round % 3 === 0) await sessions.update(token, (data) => data);
          const next = await sessions.regenerate(token, round % 2 === 0 ? { overlap: '1s' } : {});
          tokens[i] = next?.token ?? '';
        }
      });
      await sessions.revokeAll('user:42');
      churn.isOver = true;
      await Promise.all(using);
      for (const token of tokens) expect(await sessions.get(token)).toBeUndefined();
      expect(await idsOf()).toEqual([]);
    });

    it('emits what happened, and completes when the application closes', async () => {
      const events: SessionEvent[] = [];
      let isComplete = false;
      sessions.events$.subscribe({ next: (event) => events.push(event), complete: () => (isComplete = true) });
      const { token, session } = await create(null);
      const login = await sessions.regenerate(token, { subject: 'user:42' });
      const next = await sessions.regenerate(login?.token ?? '', { overlap: '1m' });
      await sessions.revokeToken(token);
      await sessions.revokeToken(login?.token ?? '');
      const [one, other] = [await create(), await create()];
      await sessions.revoke('user:42', one.session.id);
      await sessions.revokeAll('user:42');
      const subject = 'user:42';
      expect(events).toEqual([
        { type: 'created', id: session.id, subject: null },
        { type: 'regenerated', id: login?.session.id, previous: session.id, subject },
        { type: 'regenerated', id: next?.session.id, previous: login?.session.id, subject },
        { type: 'revoked', id: next?.session.id, subject },
        { type: 'created', id: one.session.id, subject },
        { type: 'created', id: other.session.id, subject },
        { type: 'revoked', id: one.session.id, subject },
        { type: 'revoked', id: other.session.id, subject },
      ]);
      await stage.clean();
      expect(isComplete).toBe(true);
    });

    it('emits nothing of a session that expires by itself', async () => {
      const events: string[] = [];
      sessions.events$.subscribe(({ type }) => events.push(type));
      const { token } = await create();
      await stage.pass(31 * MINUTE);
      expect([await sessions.get(token), await idsOf(), await sessions.revokeToken(token)]).toEqual([
        undefined,
        [],
        false,
      ]);
      expect(await sessions.revokeAll('user:42')).toBe(0);
      expect(events).toEqual(['created']);
    });

    describe('a limit that evicts the oldest', () => {
      beforeEach(async () => {
        sessions = await stage.sessions<string>({ limit: { sessions: 3, when: 'evict-oldest' } });
      });

      it('keeps the newest sessions, and emits which went', async () => {
        const evicted: string[] = [];
        sessions.events$.subscribe(({ type, id }) => type === 'evicted' && evicted.push(id));
        const ids: string[] = [];
        for (let i = 0; i < 5; i++) {
          ids.push((await create()).session.id);
          await stage.pass(1000);
        }
        expect(await idsOf()).toEqual(ids.slice(2).toReversed());
        expect(evicted).toEqual(ids.slice(0, 2));
      });

      it('leaves exactly as many of 30 concurrent ones, and counts each subject by itself', async () => {
        await concurrently(30, (i) => create(i % 2 === 0 ? 'user:42' : 'user:7'));
        expect([(await idsOf()).length, (await idsOf('user:7')).length]).toEqual([3, 3]);
      });

      it('counts a session that is regenerated once, and one that logs in', async () => {
        const first = await create();
        await stage.pass(1000);
        const [second, third] = [await create(), await create()];
        const next = await sessions.regenerate(third.token, { overlap: '1m' });
        expect(await idsOf()).toHaveLength(3);
        const anonymous = await create(null);
        const login = await sessions.regenerate(anonymous.token, { subject: 'user:42' });
        const left = [second.session.id, next?.session.id, login?.session.id];
        expect(new Set(await idsOf())).toEqual(new Set(left));
        expect(await sessions.get(first.token)).toBeUndefined();
      });

      it('ends the oldest although it is regenerated after it was found', async () => {
        const oldest = await create();
        await stage.pass(1000);
        await concurrently(2, () => create());
        const liveOf = Reflect.get(SessionRecords.prototype, 'liveOf');
        let next: string | undefined;
        SessionRecords.prototype.liveOf = async function (...args) {
          SessionRecords.prototype.liveOf = liveOf;
          const live = await liveOf.apply(this, args);
          next = (await sessions.regenerate(oldest.token))?.token;
          return live;
        };
        const { session } = await create();
        expect(next).toHaveLength(43);
        expect(await sessions.get(next ?? '')).toBeUndefined();
        expect(await idsOf()).toHaveLength(3);
        expect(await idsOf()).toContain(session.id);
      });
    });

    describe('a limit that refuses', () => {
      beforeEach(async () => {
        sessions = await stage.sessions<string>({ limit: { sessions: 3, when: 'refuse' } });
      });
      const refusals = async (calls: Promise<unknown>[]) => {
        const settled = await Promise.allSettled(calls);
        return settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      };

      it('lets exactly as many of 30 concurrent ones succeed, and leaves nothing behind of the others', async () => {
        const refused = await refusals(Array.from({ length: 30 }, () => create()));
        expect(refused).toHaveLength(27);
        for (const error of refused) expect(error).toBeInstanceOf(TooManySessionsError);
        expect(refused[0]).toMatchObject({ code: 'TOO_MANY_SESSIONS', limit: 3 });
        expect(await idsOf()).toHaveLength(3);
      });

      it('admits another one as soon as one is revoked or over', async () => {
        const created = await concurrently(3, () => create());
        await sessions.revokeToken(created[0]?.token ?? '');
        await create();
        expect(await refusals([create()])).toHaveLength(1);
        await stage.pass(31 * MINUTE);
        await concurrently(3, () => create());
        expect(await refusals([create()])).toHaveLength(1);
      });

      it('refuses a login as well, and the session stays as it was', async () => {
        await concurrently(3, () => create());
        const anonymous = await create(null);
        expect(await refusals([sessions.regenerate(anonymous.token, { subject: 'user:42' })])).toHaveLength(1);
        expect(await sessions.get(anonymous.token)).toMatchObject({ subject: null });
        expect(await idsOf()).toHaveLength(3);
      });

      it('lets full subjects regenerate their sessions, and log in again with one of them', async () => {
        const [{ token } = { token: '' }] = await concurrently(3, () => create());
        const next = await sessions.regenerate(token, { overlap: '1m' });
        expect(await sessions.regenerate(next?.token ?? '', { subject: 'user:42' })).toBeDefined();
        expect(await idsOf()).toHaveLength(3);
        expect(await refusals([create()])).toHaveLength(1);
      });
    });
  });
}
