import { inTurn, together } from '../../lib/backend/writes-in-parts.js';
import { CacheCommandError, CacheUnavailableError } from '../../lib/redis-cache.errors.js';
import { reasonOf } from '../support/reason-of.js';

const notSent = () => new CacheUnavailableError('disconnected', 'not-sent', 'Redis is down', { cause: 'ECONNREFUSED' });
const unknown = () => new CacheUnavailableError('timeout', 'unknown', 'no reply');
const refused = () => new CacheCommandError('OOM', 'Redis is full');

describe('writes of one call', () => {
  describe('together', () => {
    it('give their results in order', async () => {
      expect(await together([1, 2, 3].map(async (i) => i))).toEqual([1, 2, 3]);
      expect(await together([])).toEqual([]);
    });

    it('fail with not-sent if not one of them was sent', async () => {
      const first = notSent();
      expect(await reasonOf(together([Promise.reject(first), Promise.reject(notSent())]))).toBe(first);
    });

    it.each([
      ['was carried out', () => Promise.resolve(1)],
      ['may have been', () => Promise.reject(unknown())],
      ['was refused by Redis', () => Promise.reject(refused())],
    ])('fail with unknown if one was not sent and another %s', async (_, other) => {
      const error = await reasonOf(together<unknown>([Promise.reject(notSent()), other()]));
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect(error).toMatchObject({ reason: 'disconnected', outcome: 'unknown', cause: 'ECONNREFUSED' });
      expect((error as Error).message).toContain('Redis is down');
    });

    it('have all settled when the call fails', async () => {
      let isDone = false;
      const slow = new Promise((resolve) => setTimeout(resolve, 20)).then(() => (isDone = true));
      await reasonOf(together<unknown>([Promise.reject(refused()), slow]));
      expect(isDone).toBe(true);
    });
  });

  describe('in turn', () => {
    const counts = (...parts: (number | Error)[]) =>
      inTurn(parts, async (part) => {
        if (part instanceof Error) throw part;
        return part;
      });

    it('add up what they changed', async () => {
      expect(await counts(2, 0, 3)).toBe(5);
    });

    it('fail with not-sent if the earlier ones changed nothing, and with unknown if they did', async () => {
      expect(await reasonOf(counts(0, notSent()))).toMatchObject({ outcome: 'not-sent' });
      expect(await reasonOf(counts(1, notSent()))).toMatchObject({ reason: 'disconnected', outcome: 'unknown' });
    });

    it('fail with unknown if the next part cannot even be found', async () => {
      async function* parts() {
        yield 1;
        throw notSent();
      }
      expect(await reasonOf(inTurn(parts(), async (n) => n))).toMatchObject({ outcome: 'unknown' });
    });

    it('keep any other failure as it is', async () => {
      const [lost, full] = [unknown(), refused()];
      expect(await reasonOf(counts(1, lost))).toBe(lost);
      expect(await reasonOf(counts(1, full))).toBe(full);
    });
  });
});
