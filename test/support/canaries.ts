import { randomBytes } from 'node:crypto';
import { type RedisCacheStore, RedisCacheError } from 'nestjs-redis-cache-store';
import { reasonOf } from './reason-of.js';
import { shown } from './witness.js';

/** What nobody may see. A half of one is as bad as the whole. */
export const KEY = 'canary-of-key:5f0b9c1e77d2';
export const TAG = 'canary-of-tag:a61c3be0f948';
export const VALUE = 'canary-of-value:0d7e52b8c31f';
export const PASSWORD = 'canary/of@password:93ea4f6b1d08';
export const MASTER_KEY = randomBytes(32);

/** Every form in which bytes may be seen. */
function disguises(bytes: Buffer): string[] {
  const hex = bytes.toString('hex');
  return [
    bytes.toString('latin1'),
    encodeURIComponent(bytes.toString('latin1')),
    hex,
    hex.replaceAll(/..(?=.)/g, '$& '), // as `inspect` shows a Buffer
    bytes.join(','), // as JSON shows one
    bytes.join(', '), // as `inspect` shows a Uint8Array
    ...[0, 1, 2].flatMap((shift) => {
      const shifted = Buffer.concat([Buffer.alloc(shift), bytes]);
      const base64 = shifted.toString('base64').slice(4, -4); // what does not depend on the neighbours
      return [base64, base64.replaceAll('+', '-').replaceAll('/', '_')];
    }),
  ];
}

const halves = [KEY, TAG, VALUE, PASSWORD, MASTER_KEY].flatMap((secret) => {
  const bytes = Buffer.from(secret);
  return [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
});
const forbidden = [...new Set(halves.flatMap(disguises))];

/** Where a text shows a secret, in whatever form. */
export function sightings(text: string): string[] {
  return forbidden.flatMap((form) => {
    const at = text.indexOf(form);
    return at < 0 ? [] : [`${form} in: ${text.slice(Math.max(0, at - 200), at + 200)}`];
  });
}

/** Fails if anything of a secret can be seen of it, however it is logged. */
export function expectSecret(what: unknown): void {
  expect(sightings(shown(what))).toEqual([]);
}

/** Every method with every secret. */
export function everyCall(store: RedisCacheStore): [name: string, call: () => Promise<unknown>][] {
  const tagged = { tags: [TAG] };
  const value = { [VALUE]: VALUE, list: [VALUE] };
  const all = async (items: AsyncIterable<unknown>) => {
    for await (const item of items) void item;
  };
  return [
    ['get', () => store.get(KEY)],
    ['getMany', () => store.getMany([KEY, `${KEY}2`, KEY])],
    ['get with touch', () => store.get(KEY, { touch: '1h' })],
    ['put', () => store.put(KEY, value)],
    ['put with tag', () => store.put(KEY, value, tagged)],
    ['putMany', () => store.putMany([[KEY, value] as const, [`${KEY}2`, value] as const], tagged)],
    ['putIfAbsent', () => store.putIfAbsent(`${KEY}3`, value)],
    ['replace', () => store.replace(KEY, value, tagged)],
    ['update', () => store.update(KEY, () => value)],
    ['getOrPut', () => store.getOrPut(`${KEY}4`, () => value, tagged)],
    ['touch', () => store.touch(KEY, '2h')],
    ['has', () => store.has(KEY)],
    ['ttl', () => store.ttl(KEY)],
    ['inspect', () => store.inspect(KEY)],
    ['move', () => store.move(KEY, `${KEY}5`, { change: () => value, grace: '1s' })],
    ['deleteIf', () => store.deleteIf(`${KEY}5`, () => true)],
    ['increment', () => store.increment(KEY, { ttl: '1m', limit: 1, block: { first: '1m' } })],
    ['counter', () => store.counter(KEY)],
    ['resetCounter', () => store.resetCounter(KEY)],
    ['scope', () => store.scope('tenant').put(KEY, value, tagged)],
    ['keys', () => store.keys({ prefix: KEY })],
    ['keys with tag', () => store.keys({ tag: TAG })],
    ['scan', () => all(store.scan({ prefix: KEY }))],
    ['entries', () => all(store.entries())],
    ['records', () => all(store.records({ tag: TAG }))],
    ['count', () => store.count({ tag: TAG })],
    ['take', () => store.take(KEY)],
    ['delete', () => store.delete(KEY)],
    ['deleteMany', () => store.deleteMany([KEY, `${KEY}2`])],
    ['deleteByTag', () => store.deleteByTag(TAG)],
    ['clear', () => store.clear()],
  ];
}

/** Calls every method; all that fail do so with an error of ours which shows nothing. Gives these errors. */
export async function failuresOf(store: RedisCacheStore): Promise<RedisCacheError[]> {
  const errors: RedisCacheError[] = [];
  for (const [name, call] of everyCall(store)) {
    const outcome = await reasonOf(call());
    if (!(outcome instanceof Error)) continue;
    expect([name, outcome]).toEqual([name, expect.any(RedisCacheError)]);
    expectSecret(outcome);
    errors.push(outcome as RedisCacheError);
  }
  return errors;
}
