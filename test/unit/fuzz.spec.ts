import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import {
  CacheConfigError,
  CacheCorruptError,
  jsonSerializer,
  messagePackSerializer,
  type RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { parseRedisUrl } from '../../lib/redis-url.js';
import { decodeRecord, encodeHead, encodeRecord, headOf, MOST_HEAD_BYTES } from '../../lib/record/layout.js';
import { headers, UNTAGGED, values } from '../support/arbitraries.js';
import { LONG } from '../support/fault-report.js';
import { accidents, damaged, messagePack, payloads } from '../support/hostile.js';
import { reasonOf } from '../support/reason-of.js';
import { Shelf } from '../support/sealed-store.js';

/** 20,000 cases in all; with CHAOS=long 100,000. */
const cases = (number: number) => ({ numRuns: LONG ? number : number / 5 });
// Where nobody looks at the outcome the seed is always the same one.
if (process.env['CI']) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 20_261_122 });

const MIB = 2 ** 20;
/** Milliseconds, even on a busy machine, unless it is for ever. */
const PATIENCE = 5000;
/** What may be taken for `size` bytes. An empty Map is one byte, and takes V8 some 200; the rest is garbage of other cases. */
const allowance = (size: number) => 64 * MIB + 320 * size;

const builtIn = [Object, Array, Map, Set, Function, String, Number, Date, Error, RegExp, Promise, Buffer];
const prototypes = () =>
  builtIn.map(({ prototype }) => Reflect.ownKeys(prototype).map(String).join()).concat(Object.keys({}));
const untouched = prototypes();

function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Settles soon, without a great appetite, and leaves the world as it was; what it throws is an error. */
async function calmly<T>(size: number, action: () => T | Promise<T>): Promise<T | Error> {
  const [before, begun] = [memory(), performance.now()];
  let outcome: T | Error;
  try {
    outcome = await action();
  } catch (error) {
    if (!(error instanceof Error)) throw new Error('what was thrown is no error', { cause: error });
    outcome = error;
  }
  if (performance.now() - begun > PATIENCE) throw new Error('it took for ever');
  if (memory() - before > allowance(size)) throw new Error(`${memory() - before} bytes for ${size}`);
  return outcome;
}

/** Every object is of a kind that the language knows, never one whose prototype was given by the bytes. */
function assertNatural(value: unknown): void {
  const seen = new Set<unknown>([value]);
  for (const part of seen) {
    if (typeof part !== 'object' || part === null) continue;
    const prototype = Object.getPrototypeOf(part) as object | null;
    if (prototype !== null && !(Object.hasOwn(prototype, 'constructor') && isFunction(prototype.constructor))) {
      throw new Error('a foreign prototype');
    }
    if (ArrayBuffer.isView(part) || part instanceof ArrayBuffer) continue;
    for (const key of Reflect.ownKeys(part)) seen.add(Reflect.get(part, key));
    if (part instanceof Map) for (const [key, item] of part) seen.add(key).add(item);
    if (part instanceof Set) for (const item of part) seen.add(item);
  }
}

const isFunction = (value: unknown) => typeof value === 'function';

afterEach(() => expect(prototypes()).toEqual(untouched));

describe('hostile input neither crashes, hangs, pollutes prototypes nor eats memory', () => {
  it('as a url, which is read whole or refused (25,000 cases)', async () => {
    const piece = fc.constantFrom(
      ...'redis rediss valkey unix redis-sentinel redis-cluster rediss-cluster memory http :// : / // @ ? # % %2F %zz , [ ] [::1] localhost 6379 65536 0 -1 1e3 db= family= & mymaster ü \0 \n __proto__ constructor'.split(
        ' ',
      ),
    );
    const parts = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.array(fc.oneof(piece, fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 10 }),
      },
      fc.tuple(piece, fc.integer({ min: 1, max: 5000 })).map(([each, times]) => ['redis://', each.repeat(times)]),
    );
    const scheme = fc.constantFrom(
      '',
      'redis://',
      'redis-sentinel://',
      'redis-cluster://h:1,',
      'unix://',
      'redis://h/',
    );
    const some = (...pieces: string[]) => fc.constantFrom(...pieces);
    const place = fc
      .tuple(
        some('h', '', '[::1]', '[', '%zz', 'ü'),
        some(':', '', '::'),
        some('1', '', '65535', '65536', '0', '1e3', '-1'),
      )
      .map((each) => each.join(''));
    const almost = fc
      .tuple(
        some('redis:', 'rediss:', 'redis-sentinel:', 'redis-cluster:', 'unix:', 'toString:', '__proto__:', 'redis'),
        some('//', '//:p@', '//u:%@', '//@@', '/'),
        fc.array(place, { minLength: 1, maxLength: 3 }).map((each) => each.join(',')),
        some('', '/', '/0', '/m', '/m/1', '/m/1/2', '/999999999999', '/-1', '/%'),
        some('', '?', '?db=3', '?db=x', '?family=6', '?__proto__=1', '#x'),
      )
      .map((each) => each.join(''));
    const urls = fc.oneof(
      almost,
      fc.tuple(scheme, parts).map(([start, rest]) => start + rest.join('')),
    );
    await fc.assert(
      fc.asyncProperty(urls, async (url) => {
        const outcome = await calmly(url.length, () => parseRedisUrl(url));
        if (outcome instanceof Error) {
          if (!(outcome instanceof CacheConfigError)) throw outcome;
          return outcome.option === 'url' && outcome.message.length < 250;
        }
        const { kind, endpoints, db } = outcome;
        return (
          ['standalone', 'sentinel', 'cluster', 'memory'].includes(kind) &&
          Number.isSafeInteger(db) &&
          db >= 0 &&
          endpoints.every(({ host, port }) => host !== '' && Number.isInteger(port) && port >= 1 && port <= 65_535) &&
          (kind !== 'sentinel' || Boolean(outcome.masterName))
        );
      }),
      cases(25_000),
    );
  }, 60_000);

  it('as MessagePack, which gives a value of natural parts or an error (30,000 cases)', async () => {
    await fc.assert(
      fc.asyncProperty(payloads, async (bytes) => {
        const outcome = await calmly(bytes.length, () => messagePackSerializer.deserialize(bytes));
        assertNatural(outcome);
      }),
      cases(30_000),
    );
  }, 60_000);

  it('as the header of a record, which is as documented or corrupt (15,000 cases)', async () => {
    const head = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from([0xc1, 0x28, ...bytes])),
      fc.tuple(headers, accidents).map(([each, what]) => damaged(encodeHead(each, false), what)),
    );
    await fc.assert(
      fc.asyncProperty(head, async (bytes) => {
        const outcome = await calmly(bytes.length, () => decodeRecord(bytes));
        if (outcome instanceof CacheCorruptError) return true;
        if (outcome instanceof Error) throw outcome;
        const { createdAt, ttl, tags, incarnation, ...flags } = outcome.header;
        return (
          headOf(bytes).length <= Math.min(bytes.length, MOST_HEAD_BYTES) &&
          [createdAt, ttl ?? 0].every((moment) => Number.isSafeInteger(moment) && moment >= 0) &&
          tags.every((tag) => typeof tag === 'string') &&
          tags.length > 0 === (incarnation?.length === 11) &&
          Object.values(flags).every((flag) => typeof flag === 'boolean')
        );
      }),
      cases(15_000),
    );
  }, 60_000);

  /** What a store makes of the bytes that lie under a key. */
  async function readThrough(store: RedisCacheStore, shelf: Shelf, bytes: Buffer): Promise<unknown> {
    await shelf.put('session:key', bytes);
    return calmly(bytes.length, () => reasonOf(store.get('key')));
  }

  it('as a record that was one once, or never (20,000 cases)', async () => {
    const shelf = new Shelf();
    const stores = [
      await shelf.open({ namespace: 'session' }),
      await shelf.open({ namespace: 'session', serializer: jsonSerializer }),
    ];
    const valid = fc
      .tuple(headers, values)
      .map(([header, value]) => encodeRecord(encodeHead(header, false), messagePackSerializer.serialize(value)));
    const record = fc.oneof(
      fc.tuple(valid, accidents).map(([bytes, what]) => damaged(bytes, what)),
      payloads.map((payload) => encodeRecord(encodeHead(UNTAGGED, false), payload)),
      fc.json().map((json) => encodeRecord(encodeHead(UNTAGGED, false), Buffer.from(json))),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(record, async (bytes) => {
        for (const store of stores) {
          const outcome = await readThrough(store, shelf, bytes);
          if (outcome instanceof Error && !(outcome instanceof CacheCorruptError)) throw outcome;
          assertNatural(outcome);
        }
      }),
      cases(10_000),
    );
  }, 60_000);

  it('as an encrypted record: whatever it is but the record itself is corrupt (10,000 cases)', async () => {
    const shelf = new Shelf();
    const encryption = { keys: [randomBytes(32)] };
    const store = await shelf.open({ namespace: 'session', encryption, maxAge: '1d', sliding: true, ttl: '1h' });
    await store.put('key', { userId: 42 }, { tags: ['user:42'] });
    const sealed = await shelf.get('session:key');
    expect(await readThrough(store, shelf, sealed)).toEqual({ value: { userId: 42 } }); // which is remembered
    const record = fc.oneof(
      { weight: 3, arbitrary: accidents.map((what) => damaged(sealed, what)) },
      fc.tuple(headers, messagePack).map(([header, payload]) => encodeRecord(encodeHead(header, true), payload)),
      messagePack,
    );
    await fc.assert(
      fc.asyncProperty(record, async (bytes) => {
        fc.pre(!bytes.equals(sealed));
        return (await readThrough(store, shelf, bytes)) instanceof CacheCorruptError;
      }),
      cases(10_000),
    );
    expect(await readThrough(store, shelf, sealed)).toEqual({ value: { userId: 42 } });
  }, 60_000);
});
