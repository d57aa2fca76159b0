import type { CacheBackend } from '../../lib/backend/cache-backend.js';
import { eventually } from '../support/eventually.js';
import { allOf, freshKey, soon } from './backend-contract.js';

/** The part of the contract about indexes. */
export function describeIndexes(backend: () => CacheBackend): void {
  const add = (index: string, member: string, ttl: number | null, successorOf?: string) =>
    backend().addToIndex(index, member, { ttl, successorOf }, soon());
  const members = async (index: string) =>
    Object.fromEntries((await allOf(backend().indexMembers(index))).map(({ member, until }) => [member, until]));
  const names = async (index: string) => Object.keys(await members(index)).toSorted();
  const later = { timeout: 15_000, interval: 100 };

  describe('indexes', () => {
    it('promise a member until its ttl has passed, and say until when', async () => {
      const index = freshKey();
      const before = backend().now();
      const until = await add(index, 'a', 60_000);
      expect(until).toBeGreaterThan(before + 60_000 - 1000);
      expect(until).toBeLessThan(backend().now() + 60_000 + 1000);
      expect(await members(index)).toEqual({ a: until });
      expect(await add(index, 'b', null)).toBe(Infinity);
      expect(await members(index)).toEqual({ a: until, b: Infinity });
    });

    it('keep a member that is added again for the longer of both times', async () => {
      const index = freshKey();
      const long = await add(index, 'a', 60_000);
      expect(await add(index, 'a', 1000)).toBeLessThan(long);
      expect(await members(index)).toEqual({ a: long });
      await add(index, 'a', null);
      await add(index, 'a', 60_000);
      expect(await members(index)).toEqual({ a: Infinity });
    });

    it('put a member behind the one whose place it takes, so that a walk on its way comes to it', async () => {
      const index = freshKey();
      const long = await add(index, 'old', 60_000);
      expect(await add(index, 'new', 1000, 'old')).toBeLessThan(long);
      expect(await members(index)).toEqual({ old: long, new: expect.any(Number) });
      expect((await members(index))['new']).toBeGreaterThanOrEqual(long);
      await add(index, 'other', 90_000, 'old');
      expect((await members(index))['other']).toBeGreaterThan(long);
      await add(index, 'endless', null);
      await add(index, 'successor', 1000, 'endless');
      await add(index, 'of nobody', 30_000, 'nobody');
      expect(await members(index)).toMatchObject({ successor: Infinity, 'of nobody': expect.any(Number) });
    });

    it('live as long as their last member, and lose members whose moment has passed', async () => {
      const [index, brief] = [freshKey(), freshKey()];
      await add(index, 'long', 60_000);
      await add(index, 'short', 300);
      await add(index, 'ever', null);
      await add(index, 'later', 400);
      await add(brief, 'short', 300);
      expect(await names(index)).toEqual(['ever', 'later', 'long', 'short']);
      expect(await names(brief)).toEqual(['short']);
      // On a Cluster some seconds later than their moment, since clocks differ.
      await eventually(async () => expect(await names(index)).toEqual(['ever', 'long']), later);
      await eventually(async () => expect(await names(brief)).toEqual([]), later);
      expect(await names(freshKey())).toEqual([]);
    });

    it.each([
      ['different moments', (i: number) => 60_000 + i],
      ['no end', () => null],
    ])('give thousands of members with %s', async (_, ttl) => {
      const index = freshKey();
      const all = Array.from({ length: 2500 }, (__, i) => `member ${i}`);
      await Promise.all(all.map((member, i) => add(index, member, ttl(i))));
      expect(await names(index)).toEqual(all.toSorted());
      const pages: number[] = [];
      for await (const page of backend().indexMembers(index)) pages.push(page.length);
      expect(Math.max(...pages)).toBeLessThanOrEqual(1000);
    });

    it('give every member that is there during the whole walk, whoever else comes, goes, or moves', async () => {
      const index = freshKey();
      const stay = Array.from({ length: 1500 }, (_, i) => `stay ${i}`);
      const go = Array.from({ length: 1500 }, (_, i) => `go ${i}`);
      await Promise.all([...stay, ...go].map((member, i) => add(index, member, i % 3 ? 60_000 + i : null)));
      const seen = new Set<string>();
      for await (const page of backend().indexMembers(index)) {
        page.forEach(({ member }) => seen.add(member));
        const last = page.at(-1)?.member ?? '';
        if (last.startsWith('go')) go.push(last);
        await backend().removeFromIndex(index, go.splice(0, 400), backend().generation, soon());
        await add(index, stay[seen.size % 1500] ?? '', 90_000); // ahead
      }
      expect(stay.filter((member) => !seen.has(member))).toEqual([]);
    });

    it.each([
      ['no end', null],
      ['one moment', 60_000],
    ])('give a walk each of the members with %s, or the one that took its place ahead of the walk', async (_, ttl) => {
      const index = freshKey();
      const all = Array.from({ length: 700 }, (__, i) => `member ${i}`);
      await Promise.all(all.map((member) => add(index, member, ttl)));
      const seen = new Set<string>();
      const isMissed = (member: string) => !seen.has(member) && !seen.has(`before ${member}`);
      for await (const page of backend().indexMembers(index)) {
        const isFirst = seen.size === 0;
        page.forEach(({ member }) => seen.add(member));
        if (!isFirst) continue;
        const ahead = all.filter(isMissed);
        await Promise.all(ahead.map((member) => add(index, `before ${member}`, 1000, member)));
        await backend().removeFromIndex(index, ahead, backend().generation, soon());
      }
      expect(all.filter(isMissed)).toEqual([]);
    });

    it('lose the members that are removed, and go with the last', async () => {
      const index = freshKey();
      await add(index, 'a', 1000);
      await add(index, 'b', 60_000);
      await add(index, 'c', null);
      await backend().removeFromIndex(index, ['a', 'c', 'absent'], backend().generation, soon());
      expect(await names(index)).toEqual(['b']);
      await backend().removeFromIndex(index, ['b'], backend().generation, soon());
      expect(await names(index)).toEqual([]);
      expect(await allOf(backend().scan(index))).toEqual([]);
      await backend().removeFromIndex(index, ['b'], backend().generation, soon());
    });
  });
}
