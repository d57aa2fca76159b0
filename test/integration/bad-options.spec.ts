import type { IncrementOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { drain, RefusalStage } from '../support/refusal-stage.js';

const wrong = (value: unknown) => value as never;

describe('wrong options of a call are refused, with CacheArgumentError, before anything reaches Redis', () => {
  let stage: RefusalStage;
  let store: RedisCacheStore;
  let expectRefused: RefusalStage['expectRefused'];

  beforeAll(async () => {
    stage = await RefusalStage.start();
    ({ store, expectRefused } = stage);
  });
  afterAll(() => stage?.stop());

  const hit = (options: unknown) => () => store.increment('key', options as IncrementOptions);

  it.each([['1'], [0.5], [Number.NaN], [Infinity], [2 ** 53], [null], [1n]])('the number %p of a hit', async (n) => {
    await expectRefused([hit({ by: n }), hit({ limit: n }), hit({ by: n, limit: 10 })]);
  });

  it.each([[{ limit: 0 }], [{ limit: -1 }], [{ by: 0, limit: 3 }], [{ by: -1, limit: 3 }], [{ by: 4, limit: 3 }]])(
    'a hit that its limit could never allow: %p',
    async (options) => {
      await expectRefused([hit(options)]);
    },
  );

  it.each([
    [true],
    ['1m'],
    [{}],
    [{ first: 0 }],
    [{ first: '1m', factor: 0.9 }],
    [{ first: '1m', factor: Infinity }],
    [{ first: '1m', factor: '2' }],
    [{ first: '1m', longest: '59s' }],
    [{ first: '1m', longest: null }],
    [{ first: '1m', last: '1h' }],
  ])('the block %p of a hit', async (block) => {
    await expectRefused([hit({ limit: 3, block })]);
  });

  it('a block without a limit', async () => {
    await expectRefused([hit({ block: { first: '1m' } })]);
  });

  class Inherited {
    get ttl(): string {
      return '1h'; // `putMany` and copies of the options would be without it
    }
  }

  it.each([
    [1000],
    ['5m'],
    [true],
    [['user:42']],
    [null],
    [new Date()],
    [new Map()],
    [new Inherited()],
    [() => ({})],
    [{ EX: 60 }],
  ])('the options %p, which would be none at all', async (given) => {
    const options = wrong(given);
    await expectRefused([
      () => store.put('key', 1, options),
      () => store.put('key', 1, { tags: ['user:42'], limit: options }),
      () => store.putMany([['key', 1]], options),
      () => store.putMany([['key', 1, options]], { ttl: '1h' }),
      () => store.putMany([['key', 1, options]]),
      () => store.putIfAbsent('key', 1, options),
      () => store.replace('key', 1, options),
      () => store.getOrPut('key', () => 1, options),
      () => store.update('key', () => 1, options),
      () => store.move('key', 'other', options),
      () => store.get('key', options),
      () => store.increment('key', options),
      () => store.increment('key', { limit: 3, block: options }),
      () => store.keys(options),
      () => store.count(options),
      () => drain(store.scan(options)),
      () => drain(store.entries(options)),
      () => drain(store.records(options)),
      () => store.deleteByTag('user:42', options),
      () => store.clear(options),
    ]);
  });

  it('options of another method, and known ones with values that are not', async () => {
    await expectRefused([
      () => store.put('key', 1, wrong({ tag: 'user:42' })),
      () => store.keys(wrong({ tags: ['user:42'] })),
      () => store.get('key', wrong({ touch: true, ttl: '1h' })),
      () => store.get('key', { touch: 'yes' }),
      () => store.deleteByTag('user:42', wrong({ thorough: 'no' })),
      () => store.deleteByTag('user:42', wrong({ thorough: null })),
      () => drain(store.entries(wrong({ onCorrupt: 'miss' }))),
    ]);
  });

  it('a misspelt option, and the error shows the options there are; what may be data is not shown', async () => {
    const [get, put, data] = await expectRefused([
      () => store.get('key', wrong({ tuoch: true })),
      () => store.put('key', 1, wrong({ tll: '1h' })),
      () => store.put('key', 1, wrong({ 'secret-cookie': 1 })),
    ]);
    expect(get).toMatchObject({ message: 'options: "tuoch" is unknown; there are "touch"' });
    expect(put).toMatchObject({ message: 'options: "tll" is unknown; there are "ttl", "expiresAt", "tags", "limit"' });
    expect(data).toMatchObject({ message: 'options: there are "ttl", "expiresAt", "tags", "limit"' });
  });

  it('and nothing has changed in the end', async () => {
    expect(await stage.contents()).toEqual([['key'], 'before', null]);
  });
});
