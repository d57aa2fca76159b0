import { CALM, calling, type ServiceModel, steps, valuesOf } from './instances.js';

export const LIMIT = 5;

/** How many hits have been counted: calls that were lost may have been. */
interface Count {
  readonly key: string;
  least: number;
  most: number;
}

let keys = 0;

/** No more hits are allowed than the limit says, and no fewer. */
export const attemptsModel: ServiceModel<Count> = {
  begin: () => ({ key: `key ${++keys}`, least: 0, most: 0 }),
  steps: [
    steps('hit', calling, async (count, instances, how) => {
      const told = await instances.call(how, 'attempts', 'hit', count.key);
      const allowed = valuesOf(told).filter((hit) => hit.allowed);
      const lost = told.filter((each) => each === 'lost').length;
      expect(allowed.length).toBeLessThanOrEqual(LIMIT - count.least);
      expect(new Set(allowed.map((hit) => hit.count)).size).toBe(allowed.length);
      count.least += allowed.length;
      count.most = Math.min(LIMIT, count.most + allowed.length + lost);
      if (allowed.length + lost < told.length) expect(count.most).toBe(LIMIT);
    }),
    steps('reset', calling, async (count, instances, how) => {
      const told = await instances.call(how, 'attempts', 'reset', count.key);
      count.least = 0;
      if (valuesOf(told).length > 0) count.most = 0;
    }),
    steps('peek', calling, async (count, instances, how) => {
      for (const { count: seen, remaining } of valuesOf(await instances.call(how, 'attempts', 'peek', count.key))) {
        expect([seen >= count.least, seen <= count.most, remaining]).toEqual([true, true, LIMIT - seen]);
      }
    }),
  ],
  // After a hit that was lost, peek tells.
  async end(count, instances) {
    const [seen] = valuesOf(await instances.call(CALM, 'attempts', 'peek', count.key));
    expect(seen?.count).toBeGreaterThanOrEqual(count.least);
    expect(seen?.count).toBeLessThanOrEqual(count.most);
  },
};
