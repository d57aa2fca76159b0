import { CopyBudget } from '../../lib/store/copy-budget.js';
import type { NearCache as Cache, NearEntry } from '../../lib/store/near-cache.js';

const LEASE = 1000;
let [now, wall] = [0, 0];
/** As Jest has it for ES modules; @types/jest lacks it. */
const jest = import.meta.jest as ImportMeta['jest'] & { unstable_mockModule(path: string, make: () => object): void };
jest.unstable_mockModule('../../lib/redis-cache.timers.js', () => ({ now: () => now, wallNow: () => wall }));
const { NearCache } = await import('../../lib/store/near-cache.js');

describe('NearCache', () => {
  let coverage: { provenAt: number; provenAtByWall: number };
  let near: Cache;

  const entry = (id: string, until = Infinity, size = 1): NearEntry => {
    return { id, bytes: Buffer.from(id), size, coverage, until, untilByWall: Infinity, usedAt: now };
  };
  const read = (id: string, until?: number) => {
    const flight = near.begin(id);
    near.keep(flight, entry(id, until));
    near.end(id, flight);
  };

  beforeEach(() => {
    now = 10_000;
    wall = 1_000_000;
    coverage = { provenAt: now, provenAtByWall: wall };
    near = new NearCache(LEASE, 3, new CopyBudget(1000));
  });

  it('gives what was kept, and nothing else', () => {
    expect(near.get('a')).toBeUndefined();
    read('a');
    expect(near.get('a')).toEqual(entry('a'));
    expect(near.get('b')).toBeUndefined();
  });

  describe('the lease', () => {
    it('ends exactly one lease after the last PING that was answered had been sent', () => {
      read('a');
      now = coverage.provenAt + LEASE - 1;
      expect(near.get('a')).toBeDefined();
      now = coverage.provenAt + LEASE;
      expect(near.get('a')).toBeUndefined();
    });

    it('is no reason to forget: copies are good again once the feed has proven that it told of every change', () => {
      read('a');
      now += 2 * LEASE;
      expect(near.get('a')).toBeUndefined();
      coverage.provenAt = now;
      expect(near.get('a')).toBeDefined();
    });

    it('ends by the wall clock, too, since the monotonic one may stand still while the machine sleeps', () => {
      read('a');
      expect(near.get('a')).toBeDefined();
      wall += LEASE;
      now += 1; // the wall clock is read once in a ms of the other one
      expect(near.get('a')).toBeUndefined();
    });

    it('has never begun without a feed', () => {
      coverage.provenAt = -Infinity;
      read('a');
      expect(near.get('a')).toBeUndefined();
    });
  });

  it('tells what happens to copies, and how many there are left', () => {
    const told: [event: string, copies: number, left: number][] = [];
    near = new NearCache(LEASE, 3, new CopyBudget(1000), undefined, (event, { size }, copies) =>
      told.push([event, copies, size]),
    );
    const after = (action: () => void) => {
      told.length = 0;
      action();
      return told.splice(0);
    };
    expect(after(() => read('a', now + 50))).toEqual([['fill', 1, 1]]);
    expect(after(() => read('b'))).toEqual([['fill', 1, 2]]);
    now += 50;
    expect(after(() => near.get('a'))).toEqual([['eviction', 1, 1]]);
    expect(after(() => near.get('a'))).toEqual([]);
    expect(after(() => ['c', 'd', 'e'].forEach((id) => read(id))).slice(-2)).toEqual([
      ['fill', 1, 4],
      ['eviction', 1, 3],
    ]);
    expect(after(() => near.forget('c'))).toEqual([['invalidation', 1, 2]]);
    expect(after(() => near.forget('c'))).toEqual([]);
    expect(after(() => near.forgetAll(coverage))).toEqual([['invalidation', 2, 0]]);
    expect(after(() => near.forgetAll())).toEqual([]);
  });

  it('gives no copy from the moment on that it is due', () => {
    read('a', now + 50);
    now += 49;
    expect(near.get('a')).toBeDefined();
    now += 1;
    expect(near.get('a')).toBeUndefined();
  });

  describe('what is forgotten', () => {
    it('is gone', () => {
      read('a');
      near.forget('a');
      expect(near.get('a')).toBeUndefined();
    });

    it('while it is being read is not kept, by any of its readers', () => {
      const [first, second] = [near.begin('a'), near.begin('a')];
      near.keep(first, entry('a'));
      near.forget('a');
      near.end('a', first);
      near.keep(second, entry('a'));
      near.end('a', second);
      expect(near.get('a')).toBeUndefined();
    });

    it('does not keep a later read from being kept, whenever the earlier one ends', () => {
      const earlier = near.begin('a');
      near.forget('a');
      const later = near.begin('a');
      near.end('a', earlier);
      near.keep(later, entry('a'));
      near.keep(earlier, { ...entry('a'), bytes: Buffer.from('old') });
      near.end('a', later);
      expect(near.get('a')).toEqual(entry('a'));
    });

    it('voids a read also when another reader of the key has ended before', () => {
      const [first, second] = [near.begin('a'), near.begin('a')];
      near.end('a', first);
      near.forget('a');
      near.keep(second, entry('a'));
      expect(near.get('a')).toBeUndefined();
    });

    it('does not touch other keys', () => {
      read('a');
      const flight = near.begin('b');
      near.forget('c');
      near.keep(flight, entry('b'));
      expect([near.get('a'), near.get('b')]).toEqual([entry('a'), entry('b')]);
    });

    it('may be everything, reads on their way included', () => {
      read('a');
      const flights = ['b', 'c'].map((id) => [id, near.begin(id)] as const);
      near.forgetAll();
      for (const [id, flight] of flights) near.keep(flight, entry(id));
      expect(['a', 'b', 'c'].map((id) => near.get(id))).toEqual([undefined, undefined, undefined]);
    });
  });

  describe('of what a coverage was lost of', () => {
    it('nothing is left, and the copies of others stay', () => {
      read('a');
      const other = { ...coverage };
      const flight = near.begin('b');
      near.keep(flight, { ...entry('b'), coverage: other });
      near.end('b', flight);
      near.forgetAll(coverage);
      expect([near.get('a'), near.get('b')?.id]).toEqual([undefined, 'b']);
    });
  });

  describe('of more bytes than the budget', () => {
    const keep = (cache: Cache, id: string, size: number) => cache.keep(cache.begin(id), entry(id, Infinity, size));

    it('the least recently used goes, also if it is a copy of another store', () => {
      const budget = new CopyBudget(100);
      const [one, other] = [new NearCache(LEASE, 9, budget), new NearCache(LEASE, 9, budget)];
      keep(one, 'a', 40);
      keep(other, 'b', 40);
      now += 11;
      one.get('a');
      keep(other, 'c', 40);
      expect([one.get('a')?.id, other.get('b'), other.get('c')?.id]).toEqual(['a', undefined, 'c']);
    });

    it('a copy that is larger than all is not kept, and lets none go', () => {
      const cache = new NearCache(LEASE, 9, new CopyBudget(100));
      keep(cache, 'a', 60);
      keep(cache, 'b', 101);
      expect([cache.get('a')?.id, cache.get('b')]).toEqual(['a', undefined]);
    });

    it('what was forgotten, replaced or evicted takes no room any more', () => {
      const cache = new NearCache(LEASE, 2, new CopyBudget(100));
      for (let i = 0; i < 50; i++) keep(cache, 'a', 40);
      cache.forget('a');
      for (const id of ['b', 'c', 'd']) keep(cache, id, 50);
      expect(['b', 'c', 'd'].map((id) => cache.get(id)?.id)).toEqual([undefined, 'c', 'd']);
    });
  });

  describe('of more than maxEntries', () => {
    const kept = () => ['a', 'b', 'c', 'd', 'e'].filter((id) => near.get(id));

    it('the least recently kept goes', () => {
      for (const id of ['a', 'b', 'c', 'd']) read(id);
      expect(kept()).toEqual(['b', 'c', 'd']);
    });

    it('one that was given out or kept again is not the least recently used', () => {
      for (const id of ['a', 'b', 'c']) read(id);
      now += 11;
      near.get('a');
      read('b');
      read('d');
      read('e');
      expect(kept()).toEqual(['b', 'd', 'e']);
    });

    it('uses within 10 ms count as one, since moving a hot copy at every hit would double what a hit costs', () => {
      for (const id of ['a', 'b', 'c']) read(id);
      now += 10;
      near.get('a');
      read('d');
      expect(kept()).toEqual(['b', 'c', 'd']);
    });

    it('none goes for a copy that takes the place of its own', () => {
      for (const id of ['a', 'b', 'c', 'a', 'b', 'c']) read(id);
      expect(kept()).toEqual(['a', 'b', 'c']);
    });
  });
});
