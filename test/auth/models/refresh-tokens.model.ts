import * as fc from 'fast-check';
import { CALM, type Calling, calling, type Instances, type ServiceModel, steps, valuesOf } from './instances.js';

/** A family, as its client knows it. */
interface Family {
  readonly subject: string;
  /** The tokens that it was given, the newest one last. */
  readonly chain: string[];
  readonly successors: Map<string, string>;
  readonly rotated: Map<string, number>;
  /** `maybe`: a call that would end it was lost. */
  isEnded: boolean | 'maybe';
}

let families = 0;

async function issue(family: Family, instances: Instances): Promise<void> {
  if (family.chain.length > 0) return;
  const [token = ''] = valuesOf(await instances.call(CALM, 'refreshTokens', 'issue', family.subject, 1));
  family.chain.push(token);
}

type Rotation = Calling & { readonly back: number };
const rotation: fc.Arbitrary<Rotation> = fc
  .tuple(calling, fc.constantFrom(0, 0, 0, 1, 1, 2))
  .map(([how, back]) => ({ ...how, back }));

async function rotate(family: Family, instances: Instances, how: Rotation): Promise<void> {
  await issue(family, instances);
  const { chain, successors, rotated } = family;
  const token = chain.at(-1 - Math.min(how.back, chain.length - 1)) ?? '';
  const told = await instances.call(how, 'refreshTokens', 'rotate', token);
  if (told.includes('lost') && token !== chain.at(-1)) family.isEnded ||= 'maybe';
  for (const each of valuesOf(told)) {
    if (!('token' in each)) {
      // Nothing but an older token ends a family.
      if (family.isEnded === false) expect(token).not.toBe(chain.at(-1));
      family.isEnded = true;
      continue;
    }
    expect(family.isEnded).not.toBe(true);
    expect(each.token).toBe(successors.get(token) ?? each.token);
    if (!successors.has(token)) chain.push(each.token);
    successors.set(token, each.token);
    if (each.outcome === 'rotated') rotated.set(token, (rotated.get(token) ?? 0) + 1);
  }
  expect(rotated.get(token) ?? 0).toBeLessThanOrEqual(1);
}

/** One successor for each token, no token rotated twice, and nothing of a family that has ended. */
export const refreshTokensModel: ServiceModel<Family> = {
  begin: () => ({
    subject: `user:${++families}`,
    chain: [],
    successors: new Map(),
    rotated: new Map(),
    isEnded: false,
  }),
  steps: [
    ...Array.from({ length: 6 }, () => steps('rotate', rotation, rotate)),
    steps('revoke', calling, async (family, instances, how) => {
      await issue(family, instances);
      const told = await instances.call(how, 'refreshTokens', 'revoke', family.chain.at(-1) ?? '');
      family.isEnded = valuesOf(told).length > 0 || family.isEnded || 'maybe';
      if (!told.includes('lost')) expect(valuesOf(told).filter(Boolean).length).toBeLessThanOrEqual(1);
    }),
    steps('revokeAll', calling, async (family, instances, how) => {
      await issue(family, instances);
      const told = await instances.call(how, 'refreshTokens', 'revokeAll', family.subject);
      family.isEnded = valuesOf(told).length > 0 || family.isEnded || 'maybe';
      if (family.isEnded !== true) return;
      expect(await instances.call(CALM, 'refreshTokens', 'list', family.subject)).toEqual([{ value: [] }]);
    }),
  ],
  // Whatever was lost, the newest token that the client has resolves it.
  async end(family, instances) {
    await issue(family, instances);
    const [told] = valuesOf(await instances.call(CALM, 'refreshTokens', 'rotate', family.chain.at(-1) ?? ''));
    if (family.isEnded === false) expect(told).toHaveProperty('token');
    if (family.isEnded === true) expect(told).not.toHaveProperty('token');
  },
};
