import { inspect } from 'node:util';
import type { PutOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { drain, RefusalStage } from '../support/refusal-stage.js';

const LONG = 'x'.repeat(513);
const badKeys: unknown[] = [
  '',
  LONG,
  '😀'.repeat(129),
  'ä'.repeat(257),
  '\uD800',
  'a\uDFFFb',
  5,
  null,
  undefined,
  {},
  ['a'],
];
const badTtls: unknown[] = [0, -0, -1, Number.NaN, Infinity, '', 'soon', '-5m', true, {}, 5n, new Date()];
const badTags: unknown[] = [
  'user:42',
  [''],
  [LONG],
  ['\uD800'],
  [5],
  [null],
  {},
  Array.from({ length: 65 }, (_, i) => `${i}`),
];
const badValues: unknown[] = [undefined, () => 1, Symbol('a'), { nested: () => 1 }, new Map([['a', Symbol('a')]])];

describe('a wrong argument is refused, with CacheArgumentError, before anything reaches Redis', () => {
  let stage: RefusalStage;
  let store: RedisCacheStore;
  let expectRefused: RefusalStage['expectRefused'];

  beforeAll(async () => {
    stage = await RefusalStage.start();
    ({ store, expectRefused } = stage);
  });
  afterAll(() => stage?.stop());

  it.each(badKeys.map((key) => [key as string]))('the key %p, by every method that takes one', async (key) => {
    await expectRefused([
      () => store.put(key, 1),
      () =>
        store.putMany([
          ['good', 1],
          [key, 1],
        ]),
      () => store.putIfAbsent(key, 1),
      () => store.replace(key, 1),
      () => store.update(key, () => 1),
      () => store.get(key),
      () => store.get(key, { touch: '1h' }),
      () => store.getMany(['good', key]),
      () => store.getOrPut(key, () => 1),
      () => store.take(key),
      () => store.has(key),
      () => store.ttl(key),
      () => store.touch(key, '1h'),
      () => store.delete(key),
      () => store.deleteMany(['good', key]),
      () => store.deleteIf(key, () => true),
      () => store.move(key, 'other'),
      () => store.move('other', key),
      () => store.inspect(key),
      () => store.increment(key),
      () => store.counter(key),
      () => store.resetCounter(key),
    ]);
  });

  it.each(badTtls.map((ttl) => [ttl as number]))('the ttl %p, by every method that takes one', async (ttl) => {
    await expectRefused([
      () => store.put('key', 1, { ttl }),
      () => store.putMany([['key', 1]], { ttl }),
      () => store.putIfAbsent('key', 1, { ttl }),
      () => store.replace('key', 1, { ttl }),
      () => store.getOrPut('key', () => 1, { ttl }),
      () => store.touch('key', ttl),
      () => store.update('key', () => 1, { ttl }),
      () => store.putMany([['key', 1, { ttl }]]),
      () => store.increment('key', { ttl }),
      () => store.get('key', { touch: (ttl as unknown) === true ? 'true' : ttl || '' }),
    ]);
  });

  it.each(badTags.map((tags) => [tags as string[]]))('the tags %p, by every method that takes some', async (tags) => {
    const options: PutOptions = { tags };
    await expectRefused([
      () => store.put('key', 1, options),
      () => store.putMany([['key', 1]], options),
      () => store.putIfAbsent('key', 1, options),
      () => store.replace('key', 1, options),
      () => store.getOrPut('key', () => 1, options),
      () => store.update('key', () => 1, options),
      () => store.putMany([['key', 1, options]]),
    ]);
  });

  it.each([[Number.NaN], [Infinity], ['2030-01-01'], [null], [true], [new Date(Number.NaN)], [9e15], [{}], [5n]])(
    'the end %p, by every method that takes one',
    async (given) => {
      const options = { expiresAt: given as Date };
      await expectRefused([
        () => store.put('key', 1, options),
        () => store.putMany([['key', 1]], options),
        () => store.putMany([['key', 1, options]]),
        () => store.putIfAbsent('key', 1, options),
        () => store.replace('key', 1, options),
        () => store.update('key', () => 1, options),
        () => store.getOrPut('key', () => 1, options),
      ]);
    },
  );

  it('an end in seconds, with the advice to multiply it', async () => {
    const [error] = await expectRefused([() => store.put('key', 1, { expiresAt: Math.floor(Date.now() / 1000) })]);
    expect(String(error)).toMatch(/looks like seconds .* give 1000 times as much/);
  });

  it.each(badKeys.filter((tag) => tag !== undefined).map((tag) => [tag as string]))('the tag %p', async (tag) => {
    await expectRefused([
      () => store.deleteByTag(tag),
      () => store.clear({ tag }),
      () => store.keys({ tag }),
      () => drain(store.scan({ tag })),
      () => drain(store.entries({ tag })),
    ]);
  });

  it('no tag at all, where all records of one are to be deleted', async () => {
    await expectRefused([() => store.deleteByTag(undefined as unknown as string)]);
  });

  it.each([[5], [null], [{}], ['\uD800'], ['a\uDFFF']])('the prefix %p', async (given) => {
    const prefix = given as unknown as string;
    await expectRefused([
      () => store.keys({ prefix }),
      () => store.count({ prefix }),
      () => drain(store.scan({ prefix })),
      () => drain(store.entries({ prefix })),
      () => drain(store.records({ prefix })),
      () => store.clear({ prefix }),
    ]);
  });

  it('a tag or a prefix that is undefined, where all else would be deleted', async () => {
    await expectRefused([() => store.clear({ tag: undefined }), () => store.clear({ prefix: undefined })]);
  });

  it.each([...badValues, 'x'.repeat(1001)].map((value) => [value]))('the value %p', async (value) => {
    await expectRefused([
      () => store.put('key', value),
      () =>
        store.putMany([
          ['good', 1],
          ['key', value],
        ]),
      () => store.putIfAbsent('key', value),
      () => store.replace('key', value),
    ]);
  });

  const wrong = (value: unknown) => value as never;

  it.each([['abc'], [{ a: 1 }], [5], [null], [undefined]])('%p, where there should be many', async (many) => {
    await expectRefused([
      () => store.putMany(wrong(many)),
      () => store.getMany(wrong(many)),
      () => store.deleteMany(wrong(many)),
    ]);
  });

  it('an array of keys with a hole', async () => {
    await expectRefused([() => store.getMany(Array<string>(1))]);
  });

  it('a ttl without a unit, and the error shows the text with one', async () => {
    const ttl = '3600';
    const errors = await expectRefused([
      () => store.put('key', 1, { ttl }),
      () => store.touch('key', ttl),
      () => store.get('key', { touch: ttl }),
    ]);
    for (const error of errors)
      expect(error).toMatchObject({ message: expect.stringContaining("'3600s' for seconds") });
  });

  it('what is no function, where there should be one', async () => {
    await expectRefused([
      () => store.update('key', wrong(5)),
      () => store.getOrPut('key', wrong(5)),
      () => store.deleteIf('key', wrong(5)),
      () => store.deleteIf('key', wrong(undefined)),
    ]);
  });

  it('null as the ttl of a touch', async () => {
    await expectRefused([() => store.touch('key', wrong(null))]);
  });

  it('and the error shows neither the key nor the value', async () => {
    const secret = `secret-${LONG}`;
    const errors = await expectRefused([
      () => store.put(secret, 1),
      () => store.put('key', [secret, () => 1]),
      () => store.put('key', secret.repeat(2)),
      () => store.put('key', 1, { ttl: 'secret' }),
      () => store.put('key', 1, { tags: [secret] }),
    ]);
    expect(inspect(errors, { depth: null, showHidden: true })).not.toContain('secret-');
  });

  it('what a serializer gives that is no Uint8Array', async () => {
    const odd = { namespace: 'odd', serializer: { serialize: wrong(JSON.stringify), deserialize: JSON.parse } };
    const text = await CacheApp.start({ url: stage.server.url }, wrong(odd));
    await expectRefused([() => text.storeOf('odd').put('key', { a: 1 })]);
    await text.close();
  });

  it('and nothing has changed in the end', async () => {
    expect(await stage.contents()).toEqual([['key'], 'before', null]);
  });
});
