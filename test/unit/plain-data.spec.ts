import { CopyBudget } from '../../lib/store/copy-budget.js';
import { freezePlainData } from '../../lib/store/plain-data.js';

describe('freezePlainData', () => {
  const isDeeplyFrozen = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen));

  it.each([
    ['primitives', [1, 'text', true, null, undefined, 10n]],
    ['objects', { a: { b: { c: 1 } } }],
    ['arrays', [[{ a: [1] }], []]],
    ['objects without a prototype', Object.assign(Object.create(null) as object, { a: { b: 1 } })],
    ['what stands in two places', ((shared) => ({ a: shared, b: [shared] }))({ c: 1 })],
  ])('freezes %s, all the way down', (_, value) => {
    expect(freezePlainData(value)).toBeGreaterThanOrEqual(0);
    expect(isDeeplyFrozen(value)).toBe(true);
  });

  it('comes to an end with what contains itself, and with what is very deep', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    expect(freezePlainData(circle)).toBeDefined();
    let deep: unknown[] = [];
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(freezePlainData(deep)).toBeDefined();
    expect(Object.isFrozen(deep[0])).toBe(true);
  });

  it.each([
    ['a Date', new Date()],
    ['a Map', new Map()],
    ['a Set', new Set()],
    ['a Buffer', Buffer.from('a')],
    ['a typed array', new Uint8Array(1)],
    ['a regular expression', /a/g],
    ['an error', new Error('a')],
    ['a function', () => 1],
    ['an instance of a class', new CopyBudget(1)],
  ])('refuses %s, wherever it stands, and then freezes nothing', (_, odd) => {
    for (const value of [odd, { a: 1, odd }, [{ a: [odd] }]] as object[]) {
      expect(freezePlainData(value)).toBeUndefined();
      expect(Object.isFrozen(value)).toBe(false);
    }
  });
});
