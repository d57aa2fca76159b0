import { NEVER, type CacheBackend, type IndexMember } from '../../lib/backend/cache-backend.js';
import { eventually } from '../support/eventually.js';
import { allOf, freshKey, soon } from './backend-contract.js';

/** The part of the contract about indexes. */
export function describeIndexes(backend: () => CacheBackend): void {
  const scores = async (index: string) => {
    const members = await allOf<IndexMember>(backend().indexMembers(index));
    expect(new Set(members.map(({ member }) => member)).size).toBe(members.length);
    return Object.fromEntries(members.map(({ member, score }) => [member, score]));
  };

  describe('indexes', () => {
    it('promise a member until its ttl has passed, and say until when', async () => {
      const index = freshKey();
      const before = Date.now();
      const score = await backend().addToIndex(index, 'a', 60_000, soon());
      expect(score).toBeGreaterThanOrEqual(before + 60_000);
      expect(score).toBeLessThanOrEqual(Date.now() + 60_000);
      expect(await scores(index)).toEqual({ a: score });
    });

    it('tell of a member for ever when it was written', async () => {
      const index = freshKey();
      const before = Date.now();
      const score = await backend().addToIndex(index, 'a', null, soon());
      expect(score - NEVER).toBeGreaterThanOrEqual(before);
      expect(score - NEVER).toBeLessThanOrEqual(Date.now());
      expect(await scores(index)).toEqual({ a: score });
    });

    it('never lower the score of a member', async () => {
      const index = freshKey();
      const long = await backend().addToIndex(index, 'a', 60_000, soon());
      await backend().addToIndex(index, 'a', 1000, soon());
      expect(await scores(index)).toEqual({ a: long });
      const ever = await backend().addToIndex(index, 'a', null, soon());
      await backend().addToIndex(index, 'a', 60_000, soon());
      expect((await scores(index))['a']).toBeGreaterThanOrEqual(ever);
    });

    it('live as long as their last member, and lose members whose moment has passed', async () => {
      const [index, brief] = [freshKey(), freshKey()];
      await backend().addToIndex(index, 'long', 60_000, soon());
      await backend().addToIndex(index, 'short', 300, soon());
      await backend().addToIndex(index, 'ever', null, soon());
      await backend().addToIndex(index, 'later', 400, soon());
      await backend().addToIndex(brief, 'short', 300, soon());
      expect(Object.keys(await scores(index)).toSorted()).toEqual(['ever', 'later', 'long', 'short']);
      expect(Object.keys(await scores(brief))).toEqual(['short']);
      // On a Cluster some seconds later than their moment, since clocks differ.
      await eventually(async () => expect(Object.keys(await scores(index)).toSorted()).toEqual(['ever', 'long']), {
        timeout: 15_000,
        interval: 100,
      });
      await eventually(async () => expect(await scores(brief)).toEqual({}), { timeout: 15_000, interval: 100 });
      expect(await scores(freshKey())).toEqual({});
    });

    it('list thousands of members, each once', async () => {
      const index = freshKey();
      const members = Array.from({ length: 2500 }, (_, i) => `member ${i}`);
      await Promise.all(members.map((member) => backend().addToIndex(index, member, 60_000, soon())));
      expect(Object.keys(await scores(index)).toSorted()).toEqual(members.toSorted());
    });

    it('lose only members that still have the score', async () => {
      const index = freshKey();
      const gone = await backend().addToIndex(index, 'gone', 1000, soon());
      const old = await backend().addToIndex(index, 'extended', 1000, soon());
      const extended = await backend().addToIndex(index, 'extended', 60_000, soon());
      const members = ['gone', 'extended', 'absent'].map((member) => ({
        member,
        score: member === 'gone' ? gone : old,
      }));
      await backend().removeFromIndex(index, members, soon());
      expect(await scores(index)).toEqual({ extended });
    });
  });
}
