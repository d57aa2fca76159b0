import * as fc from 'fast-check';
import { CacheArgumentError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { Stage } from '../support/stage.js';
import { StoreModel } from '../support/store-model.js';
import type { ModelOptions } from '../support/store-model.js';
import { MINUTE } from './auth-contract.js';

/** Two connections, as two instances of an application have, and time. */
interface Real {
  stores: readonly RedisCacheStore[];
  stage: Stage;
}

/** One call, of a store and of its model, which must answer the same and leave the same behind. */
class Call implements fc.AsyncCommand<StoreModel, Real> {
  constructor(
    private readonly text: string,
    private readonly ofStore: (store: RedisCacheStore, stage: Stage) => Promise<unknown>,
    private readonly ofModel: (model: StoreModel) => unknown,
    private readonly caller: number,
  ) {}

  check(): boolean {
    return true;
  }

  async run(model: StoreModel, { stores, stage }: Real): Promise<void> {
    const store = stores[this.caller % stores.length] as RedisCacheStore;
    const other = stores[(this.caller + 1) % stores.length] as RedisCacheStore;
    const answer = await this.ofStore(store, stage);
    expect(answer).toEqual(this.ofModel(model));
    const keys = model.keys();
    const tagged = Promise.all(TAGS.map((tag) => other.keys({ tag })));
    const ttls = Promise.all(keys.map((key) => other.ttl(key)));
    expect(await other.keys()).toEqual(keys);
    expect(await tagged).toEqual(TAGS.map((tag) => model.keys(tag)));
    for (const [i, ttl] of (await ttls).entries()) {
      const left = ttl ?? Infinity;
      const expected = model.ttl(keys[i] as string) ?? 0;
      if (left !== expected) expect(Math.abs(left - expected)).toBeLessThan(SLOWNESS);
    }
  }

  toString(): string {
    return this.text;
  }
}

const KEYS = ['a', 'b', 'c:*'];
const TAGS = ['user:42', 'admin'];

// Time passes in fives of minutes, and no record ever has a ttl of such, nor one that makes it due to slide at such a
// moment: nothing depends on the time that the test itself takes, as long as that is less than SLOWNESS.
const DEFAULT_TTL = 61 * MINUTE;
const MAX_AGE = 184 * MINUTE;
const SLOWNESS = MINUTE / 3;
const key = fc.constantFrom(...KEYS);
const tag = fc.constantFrom(...TAGS);
const value = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.record({ id: fc.nat() }));
const ttl = fc.constantFrom(11, 121, 311).map((minutes) => minutes * MINUTE);
const options: fc.Arbitrary<ModelOptions> = fc.record(
  { ttl: fc.oneof(ttl, fc.constant(null)), tags: fc.subarray(TAGS) },
  { requiredKeys: [] },
);
const caller = fc.nat({ max: 1 });
const moveOptions: fc.Arbitrary<ModelOptions & { grace?: number }> = fc
  .tuple(options, fc.option(ttl, { nil: undefined }))
  .map(([given, grace]) => ({ ...given, ...(grace !== undefined && { grace }) }));
const seen = (current: unknown) => ({ seen: current });
const isNumber = (current: unknown) => typeof current === 'number';
const refusal = (error: unknown) => {
  if (error instanceof CacheArgumentError) return 'refused';
  throw error;
};

function call<Args extends unknown[]>(
  name: string,
  args: { [I in keyof Args]: fc.Arbitrary<Args[I]> },
  ofStore: (store: RedisCacheStore, stage: Stage, ...rest: Args) => Promise<unknown>,
  ofModel: (model: StoreModel, ...rest: Args) => unknown,
): fc.Arbitrary<Call> {
  return fc.tuple(caller, fc.tuple<Args>(...args)).map(([who, rest]) => {
    const text = `${name}(${rest.map((arg) => JSON.stringify(arg)).join(', ')})`;
    return new Call(
      text,
      (store, stage) => ofStore(store, stage, ...rest),
      (model) => ofModel(model, ...rest),
      who,
    );
  });
}

const minutes = fc.constantFrom(5, 10, 30, 55, 100).map((count) => count * MINUTE);
const CALLS = [
  call(
    'put',
    [key, value, options],
    (s, _, ...args) => s.put(...args),
    (m, ...args) => m.put(...args),
  ),
  call(
    'putIfAbsent',
    [key, value, options],
    (s, _, ...args) => s.putIfAbsent(...args),
    (m, ...args) => m.putIfAbsent(...args),
  ),
  call(
    'get',
    [key],
    (s, _, k) => s.get(k),
    (m, k) => m.get(k),
  ),
  call(
    'get with touch',
    [key, fc.option(ttl, { nil: undefined })],
    (s, _, k, ms) => s.get(k, { touch: ms ?? true }),
    (m, k, ms) => [m.get(k), m.touch(k, ms)][0],
  ),
  call(
    'getOrPut',
    [key, value],
    (s, _, k, v) => s.getOrPut(k, () => v),
    (m, k, v) => (m.putIfAbsent(k, v, {}) ? v : m.get(k)),
  ),
  call(
    'take',
    [key],
    (s, _, k) => s.take(k),
    (m, k) => m.take(k),
  ),
  call(
    'replace',
    [key, value, options],
    (s, _, ...args) => s.replace(...args),
    (m, ...args) => m.replace(...args),
  ),
  call(
    'update',
    [key, options],
    (s, _, k, given) => s.update(k, seen, given),
    (m, k, given) => m.update(k, seen, given),
  ),
  call(
    'move',
    [key, key, moveOptions],
    (s, _, ...args) => s.move(...args).catch(refusal),
    (m, ...args) => m.move(...args),
  ),
  call(
    'deleteIf',
    [key],
    (s, _, k) => s.deleteIf(k, isNumber),
    (m, k) => m.deleteIf(k, isNumber),
  ),
  call(
    'touch',
    [key, fc.option(ttl, { nil: undefined })],
    (s, _, ...args) => s.touch(...args),
    (m, ...args) => m.touch(...args),
  ),
  call(
    'delete',
    [key],
    (s, _, k) => s.delete(k),
    (m, k) => m.delete(k),
  ),
  call(
    'deleteByTag',
    [tag],
    (s, _, t) => s.deleteByTag(t),
    (m, t) => m.deleteByTag(t),
  ),
  call(
    'clear',
    [],
    (s) => s.clear(),
    (m) => m.clear(),
  ),
  call(
    'pass',
    [minutes],
    (_, stage, ms) => stage.pass(ms),
    (m, ms) => m.pass(ms),
  ),
  call(
    'pass',
    [minutes],
    (_, stage, ms) => stage.pass(ms),
    (m, ms) => m.pass(ms),
  ), // twice as often
];

describe.each<[string, () => Promise<Stage>]>([
  ['memory:', () => Stage.memory()],
  ['redis://', () => Stage.redis()],
])('%s behaves as a simple model does, whatever is called in whatever order', (_, open) => {
  let stage: Stage;
  let runs = 0;
  beforeAll(async () => (stage = await open()));
  afterAll(() => stage?.stop());

  it.each([
    ['in a plain store', {}],
    ['in a sliding store', { sliding: true }],
    ['in a store with maxAge', { maxAge: MAX_AGE }],
    ['in a sliding store with maxAge', { sliding: true, maxAge: MAX_AGE }],
  ])(
    '%s',
    async (__, behavior) => {
      const settings = { ttl: DEFAULT_TTL, ...behavior };
      const run = async (calls: Iterable<fc.AsyncCommand<StoreModel, Real>>) => {
        const namespace = `model-${++runs}`; // so that a run whose test has timed out meets no other
        try {
          const stores = [await stage.open({ ...settings, namespace })];
          if (stage.servers.length > 0) stores.push(await stage.open({ ...settings, namespace }));
          await fc.asyncModelRun(() => ({ model: new StoreModel(settings), real: { stores, stage } }), calls);
        } finally {
          await stage.clean();
        }
      };
      await fc.assert(fc.asyncProperty(fc.commands(CALLS, { maxCommands: 60, size: '+1' }), run), { numRuns: 20 });
    },
    120_000,
  );
});
