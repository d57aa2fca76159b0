import { CacheArgumentError, CacheCorruptError } from 'nestjs-redis-cache-store';
import type { RefreshEvent, RefreshTokens } from 'nestjs-redis-cache-store/auth';
import { z } from 'zod';
import { type AuthStage, concurrently, DAY, HOUR, SECOND } from './auth-stage.js';

interface Data {
  scope: string;
}

const REUSED = JSON.stringify({ outcome: 'reused', subject: 'user:42' });

/** What `RefreshTokens` promises of one family, over any backend. */
export function describeRefreshTokens(at: () => AuthStage): void {
  describe('RefreshTokens', () => {
    let stage: AuthStage;
    let tokens: RefreshTokens<Data>;
    let events: RefreshEvent[];
    beforeAll(() => void (stage = at()));
    beforeEach(async () => {
      tokens = await stage.refreshTokens<Data>();
      events = [];
      tokens.events$.subscribe((event) => events.push(event));
    });
    afterEach(() => stage.clean());

    const issue = () => tokens.issue('user:42', { scope: 'read' }, { device: 'phone' });
    const rotate = async (token: string, service: RefreshTokens<Data> = tokens) => {
      const rotation = await service.rotate(token);
      if (rotation.outcome !== 'rotated' && rotation.outcome !== 'retried') throw new Error(rotation.outcome);
      return rotation.token;
    };
    const outcomeOf = async (token: string) => (await tokens.rotate(token)).outcome;
    /** The token with another part in the place of one of its own. */
    const forged = (token: string, part: 0 | 1 | 2, other: string) => token.split('.').with(part, other).join('.');

    it('a token consists of family, sequence and secret, and the next one has the same family', async () => {
      const token = await issue();
      expect(token).toMatch(/^[\w-]{22}\.0\.[\w-]{43}$/);
      const next = await rotate(token);
      expect(next).toMatch(/^[\w-]{22}\.1\.[\w-]{43}$/);
      expect(next.split('.')[0]).toBe(token.split('.')[0]);
      expect(next.split('.')[2]).not.toBe(token.split('.')[2]);
      expect((await issue()).split('.')[0]).not.toBe(token.split('.')[0]);
    });

    it('a rotation tells the subject and the data, and keeps the data', async () => {
      const first = await tokens.rotate(await issue());
      const told = { token: expect.any(String), subject: 'user:42', data: { scope: 'read' } };
      expect(first).toEqual({ outcome: 'rotated', ...told });
      expect(await tokens.rotate('token' in first ? first.token : '')).toEqual({ outcome: 'rotated', ...told });
    });

    it('a rotation can change the data, which those who retry get as well', async () => {
      const token = await issue();
      const change = ({ scope }: Data) => Promise.resolve({ scope: `${scope} write` });
      expect(await tokens.rotate(token, change)).toMatchObject({ outcome: 'rotated', data: { scope: 'read write' } });
      expect(await tokens.rotate(token, change)).toMatchObject({ outcome: 'retried', data: { scope: 'read write' } });
    });

    it('an error of the change comes through, and nothing is rotated', async () => {
      const token = await issue();
      const change = () => Promise.reject(new RangeError('no'));
      await expect(tokens.rotate(token, change)).rejects.toThrow(RangeError);
      expect(await outcomeOf(token)).toBe('rotated');
    });

    describe('a token that is sent again', () => {
      it('gives the same successor within the window, each time', async () => {
        const token = await issue();
        const next = await rotate(token);
        await stage.pass(9 * SECOND);
        for (let i = 0; i < 3; i++) {
          expect(await tokens.rotate(token)).toEqual({
            outcome: 'retried',
            token: next,
            subject: 'user:42',
            data: { scope: 'read' },
          });
        }
        expect(await outcomeOf(next)).toBe('rotated');
      });

      it('is reused after the window, also if its answer was lost', async () => {
        const token = await issue();
        const next = await rotate(token);
        await stage.pass(11 * SECOND);
        expect(await tokens.rotate(token)).toEqual({ outcome: 'reused', subject: 'user:42' });
        expect(await outcomeOf(next)).toBe('unknown');
      });

      it('is reused once its successor was used, also within the window', async () => {
        const token = await issue();
        const next = await rotate(token);
        const last = await rotate(next);
        expect(await outcomeOf(token)).toBe('reused');
        expect(await outcomeOf(last)).toBe('unknown');
      });

      it('is reused at once where the window is 0', async () => {
        tokens = await stage.refreshTokens<Data>({ retryWindow: 0 });
        const token = await issue();
        await rotate(token);
        expect(await outcomeOf(token)).toBe('reused');
      });

      it('has as long a window as the options say, from its own rotation on', async () => {
        tokens = await stage.refreshTokens<Data>({ retryWindow: '1m' });
        const first = await issue();
        await stage.pass(DAY);
        const second = await rotate(first);
        await stage.pass(DAY);
        const third = await rotate(second);
        await stage.pass(55 * SECOND);
        expect(await tokens.rotate(second)).toMatchObject({ outcome: 'retried', token: third });
        await stage.pass(6 * SECOND);
        expect(await outcomeOf(second)).toBe('reused');
      });
    });

    describe('of a known family', () => {
      it.each<[string, (first: string, current: string) => string]>([
        ['an older token', (first) => first],
        ['a current sequence with a wrong secret', (_, current) => forged(current, 2, 'x'.repeat(43))],
        ['a current secret with a wrong sequence', (_, current) => forged(current, 1, '3')],
        ['a sequence that is to come', (_, current) => forged(current, 1, '9')],
        [
          'an older secret with the current sequence',
          (first, current) => forged(first, 1, current.split('.')[1] ?? ''),
        ],
      ])('%s is reused, and ends the family', async (_, make) => {
        const first = await issue();
        const current = await rotate(await rotate(first));
        expect(await tokens.rotate(make(first, current))).toEqual({ outcome: 'reused', subject: 'user:42' });
        expect(await tokens.rotate(current)).toEqual({ outcome: 'unknown' });
        expect(await tokens.list('user:42')).toEqual([]);
        expect(await tokens.revokeAll('user:42')).toBe(0);
      });

      it('reuse ends that family alone', async () => {
        const [token, other] = [await issue(), await issue()];
        await rotate(await rotate(token));
        expect(await outcomeOf(token)).toBe('reused');
        expect(await outcomeOf(other)).toBe('rotated');
      });

      it('reuse is told once, by one event and one log line without a token', async () => {
        const token = await issue();
        await rotate(await rotate(token));
        events.length = 0;
        const rotations = await concurrently(20, () => tokens.rotate(token));
        expect(new Set(rotations.map((rotation) => JSON.stringify(rotation)))).toEqual(new Set([REUSED]));
        expect(events).toEqual([{ type: 'reused', family: expect.stringMatching(/^[\w-]{43}$/), subject: 'user:42' }]);
        expect(stage.log.filter((line) => line.includes('refresh token'))).toHaveLength(1);
        for (const part of token.split('.').filter(({ length }) => length > 1)) {
          expect(stage.log.join()).not.toContain(part);
        }
      });
    });

    it.each(['', 'x', 'a.b.c', `${'a'.repeat(22)}.1.${'b'.repeat(42)}`, `${'a'.repeat(22)}.01.${'b'.repeat(43)}`])(
      'a text that is no token is unknown: "%s"',
      async (text) => {
        expect(await tokens.rotate(text)).toEqual({ outcome: 'unknown' });
        expect(await tokens.revoke(text)).toBe(false);
      },
    );

    it('a token of no known family is unknown, and so is what is no text', async () => {
      const made = `${'a'.repeat(22)}.0.${'b'.repeat(43)}`;
      for (const token of [made, undefined, null, 5, {}] as unknown as string[]) {
        expect(await tokens.rotate(token)).toEqual({ outcome: 'unknown' });
        expect(await tokens.revoke(token)).toBe(false);
      }
    });

    describe('of concurrent rotations of one token', () => {
      it('one is rotated, the others are retried with the same successor, and after the window all are reused', async () => {
        const token = await issue();
        const rotations = await concurrently(100, () => tokens.rotate(token));
        const outcomes = rotations.map(({ outcome }) => outcome);
        expect(outcomes.filter((outcome) => outcome === 'rotated')).toHaveLength(1);
        expect(outcomes.filter((outcome) => outcome === 'retried')).toHaveLength(99);
        const successors = new Set(rotations.map((rotation) => 'token' in rotation && rotation.token));
        expect(successors.size).toBe(1);
        await stage.pass(11 * SECOND);
        const late = await concurrently(100, () => tokens.rotate(token));
        expect(new Set(late.map((rotation) => JSON.stringify(rotation)))).toEqual(new Set([REUSED]));
      });
    });

    describe('lifetime', () => {
      it('a family that is not rotated for `idle` is unknown', async () => {
        const token = await issue();
        await stage.pass(14 * DAY + SECOND);
        expect(await outcomeOf(token)).toBe('unknown');
        expect(await tokens.list('user:42')).toEqual([]);
      });

      it('each rotation gives a family its `idle` again, until `absolute` ends it', async () => {
        let token = await issue();
        for (let day = 13; day < 90; day += 13) {
          await stage.pass(13 * DAY);
          token = await rotate(token);
        }
        await stage.pass(90 * DAY - 78 * DAY - HOUR);
        token = await rotate(token);
        await stage.pass(HOUR + SECOND);
        expect(await outcomeOf(token)).toBe('unknown');
        expect(await tokens.list('user:42')).toEqual([]);
      });

      it('a retried rotation does not keep a family alive', async () => {
        tokens = await stage.refreshTokens<Data>({ idle: '1m', retryWindow: '55s' });
        const token = await issue();
        const next = await rotate(token);
        await stage.pass(50 * SECOND);
        expect(await outcomeOf(token)).toBe('retried');
        await stage.pass(11 * SECOND);
        expect(await outcomeOf(next)).toBe('unknown');
      });

      it('lives as long as it is asked to where idle and absolute are null', async () => {
        tokens = await stage.refreshTokens<Data>({ idle: null, absolute: null });
        const token = await issue();
        await stage.pass(10 * 365 * DAY);
        expect(await tokens.list('user:42')).toEqual([expect.objectContaining({ expiresAt: null })]);
        const next = await rotate(token);
        expect(await outcomeOf(token)).toBe('retried');
        await stage.pass(11 * SECOND);
        expect(await outcomeOf(token)).toBe('reused');
        expect(await outcomeOf(next)).toBe('unknown');
      });
    });

    describe('a schema', () => {
      const schema = z.object({ since: z.string().transform((text) => new Date(text)) });

      it('is applied to what the application gave, however often the family is rotated', async () => {
        const checked = await stage.refreshTokens<{ since: Date }>({ schema });
        const since = '2026-11-27T00:00:00.000Z';
        let token = await checked.issue('user:42', { since } as never);
        for (let i = 0; i < 3; i++) {
          const rotation = await checked.rotate(token);
          expect(rotation).toMatchObject({ data: { since: new Date(since) } });
          token = 'token' in rotation ? rotation.token : '';
        }
        expect(await checked.list('user:42')).toMatchObject([{ data: { since: new Date(since) } }]);
      });

      it('refuses data that do not match, with nothing issued or rotated', async () => {
        const checked = await stage.refreshTokens<{ since: Date }>({ schema });
        const wrong = { since: 5 } as never;
        await expect(checked.issue('user:42', wrong)).rejects.toThrow(CacheArgumentError);
        expect(await checked.list('user:42')).toEqual([]);
        const token = await checked.issue('user:42', { since: '2026-11-27' } as never);
        await expect(checked.rotate(token, () => wrong)).rejects.toThrow(CacheArgumentError);
        expect((await checked.rotate(token)).outcome).toBe('rotated');
      });

      it('makes stored data that do not match corrupt', async () => {
        const namespace = stage.namespace();
        const loose = await stage.refreshTokens({ namespace });
        const strict = await stage.refreshTokens({ namespace, schema });
        if (stage.stage.url === 'memory:') return; // an application has its own
        await loose.issue('user:42', { since: 5 });
        await expect(strict.list('user:42')).rejects.toThrow(CacheCorruptError);
      });
    });
  });
}
