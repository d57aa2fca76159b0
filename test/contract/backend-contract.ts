import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheBackend, Change, Expiry } from '../../lib/backend/cache-backend.js';
import { describeHeads } from './backend-head-contract.js';
import { describeIndexes } from './backend-index-contract.js';
import { describeServer } from './backend-server-contract.js';

/** A backend to be tested. */
export interface OpenBackend {
  readonly backend: CacheBackend;
  close(): Promise<void>;
}

/** One with a server behind it, and the way past it. */
export interface OpenServerBackend extends OpenBackend {
  /** Runs a command on the server that has the key. */
  redis(key: string, command: string, ...args: string[]): Promise<unknown>;
  /** Nothing answers any more, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

export const ONE = Buffer.from('one');
export const TWO = Buffer.from([0, 0xc1, 0xff, 0x0a]); // no text

/** A deadline that no test reaches. */
export const soon = (): number => performance.now() + 5000;

export async function allOf<T>(batches: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const batch of batches) all.push(...batch);
  return all;
}

let keys = 0;
/** A key that no other test has. */
export const freshKey = (): string => `contract:${++keys}`;

/** What the doc comments of `lib/backend/cache-backend.ts` promise, sentence by sentence. */
export function describeBackend(name: string, open: () => Promise<OpenServerBackend>): void;
export function describeBackend(name: string, open: () => Promise<OpenBackend>, server: false): void;
export function describeBackend(name: string, open: () => Promise<OpenBackend>, server = true): void {
  describe(`CacheBackend: ${name}`, () => {
    let opened: OpenBackend;
    let backend: CacheBackend;

    beforeAll(async () => {
      opened = await open();
      ({ backend } = opened);
    });
    afterAll(() => opened?.close());

    describe('get and set', () => {
      it('gives back the bytes that were set, and undefined for an absent key', async () => {
        const key = freshKey();
        expect(await backend.get(key, soon())).toBeUndefined();
        for (const bytes of [TWO, Buffer.alloc(0), Buffer.alloc(10_000, 7)]) {
          await backend.set(key, bytes, 'never', soon());
          expect(await backend.get(key, soon())).toEqual(bytes);
        }
      });

      it('gives every caller bytes of its own, also those who ask at the same time', async () => {
        const key = freshKey();
        const written = Buffer.from(ONE);
        await backend.set(key, written, 'never', soon());
        written.fill(0);
        const [first, second] = await Promise.all([backend.get(key, soon()), backend.get(key, soon())]);
        first?.fill(0);
        expect(second).toEqual(ONE);
        expect(await backend.get(key, soon())).toEqual(ONE);
      });

      it('answers each of many gets of one moment with its own key', async () => {
        const many = Array.from({ length: 600 }, () => freshKey());
        await Promise.all(
          many.map((key, i) => (i % 3 ? backend.set(key, Buffer.from(key), 'never', soon()) : undefined)),
        );
        const found = await Promise.all(many.map((key) => backend.get(key, soon())));
        expect(found.map((bytes) => bytes?.toString())).toEqual(many.map((key, i) => (i % 3 ? key : undefined)));
      });

      it('overwrites bytes and expiry', async () => {
        const key = freshKey();
        await backend.set(key, ONE, { in: 5000 }, soon());
        await backend.set(key, TWO, 'never', soon());
        expect(await backend.getWithTtl(key, soon())).toEqual({ bytes: TWO, ttl: null });
        await backend.set(key, ONE, { in: 5000 }, soon());
        expect(await backend.ttl(key, soon())).not.toBeNull();
      });
    });

    describe('expiry', () => {
      const written: [string, () => Expiry, number | null][] = [
        ['a number of ms from now', () => ({ in: 60_000 }), 60_000],
        ['a moment', () => ({ at: Date.now() + 30_000 }), 30_000],
        ['never', () => 'never', null],
      ];

      it.each(written)('is %s, by set and setIfAbsent alike', async (_, expiry, expected) => {
        const [set, added] = [freshKey(), freshKey()];
        await backend.set(set, ONE, expiry(), soon());
        await backend.setIfAbsent(added, ONE, expiry(), soon());
        for (const key of [set, added]) {
          expectTtl(await backend.ttl(key, soon()), expected);
          const found = await backend.getWithTtl(key, soon());
          expectTtl(found?.ttl, expected);
          expect(found?.bytes).toEqual(ONE);
        }
      });

      it('makes a record absent for every method', async () => {
        const expired = async () => {
          const key = freshKey();
          await backend.set(key, ONE, { in: 20 }, soon());
          return key;
        };
        const [a, b, c, d, e] = await Promise.all([expired(), expired(), expired(), expired(), expired()]);
        await sleep(40);
        expect(await backend.get(a, soon())).toBeUndefined();
        expect(await backend.getWithTtl(b, soon())).toBeUndefined();
        expect(await backend.has(c, soon())).toBe(false);
        expect(await backend.ttl(d, soon())).toBeUndefined();
        expect(await backend.compareAndSet(a, ONE, { set: TWO, expiry: 'never' }, soon())).toBe(false);
        expect(await backend.take(b, soon())).toBeUndefined();
        expect(await backend.delete([c, d], soon())).toEqual([undefined, undefined]);
        expect(await allOf(backend.scan('contract:'))).not.toContain(e);
        expect(await backend.setIfAbsent(e, TWO, 'never', soon())).toBe(true);
      });

      it('makes a record absent from the millisecond on, and not before', async () => {
        const key = freshKey();
        const at = Date.now() + 60;
        await backend.set(key, ONE, { at }, soon());
        for (;;) {
          const before = Date.now();
          const found = await backend.get(key, soon());
          if (Date.now() < at) expect(found).toEqual(ONE);
          if (before > at) {
            expect(found).toBeUndefined();
            break;
          }
        }
      });

      it('in the past means absent at once', async () => {
        const key = freshKey();
        await backend.set(key, ONE, 'never', soon());
        await backend.set(key, TWO, { at: Date.now() - 1000 }, soon());
        expect(await backend.has(key, soon())).toBe(false);
      });
    });

    describe('setIfAbsent', () => {
      it('writes only if nothing is there', async () => {
        const key = freshKey();
        expect(await backend.setIfAbsent(key, ONE, 'never', soon())).toBe(true);
        expect(await backend.setIfAbsent(key, TWO, { in: 5000 }, soon())).toBe(false);
        expect(await backend.getWithTtl(key, soon())).toEqual({ bytes: ONE, ttl: null });
      });

      it('gives true to exactly one of concurrent callers', async () => {
        const key = freshKey();
        const tries = Array.from({ length: 50 }, () => backend.setIfAbsent(key, ONE, 'never', soon()));
        expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
      });
    });

    describe('compareAndSet', () => {
      const changes: [string, () => Change, Buffer | undefined, number | null | undefined][] = [
        ['sets bytes for so many ms', () => ({ set: TWO, expiry: { in: 5000 } }), TWO, 5000],
        ['sets bytes until a moment', () => ({ set: TWO, expiry: { at: Date.now() + 5000 } }), TWO, 5000],
        ['sets bytes for ever', () => ({ set: TWO, expiry: 'never' }), TWO, null],
        ['sets bytes and keeps the running ttl', () => ({ set: TWO, expiry: { keepUpTo: Infinity } }), TWO, 60_000],
        ['deletes', () => 'delete', undefined, undefined],
      ];

      it.each(changes)(
        '%s if the bytes are the expected ones, and nothing otherwise',
        async (_, change, bytes, ttl) => {
          const [key, other] = [freshKey(), freshKey()];
          await backend.set(key, ONE, { in: 60_000 }, soon());
          expect(await backend.compareAndSet(key, TWO, change(), soon())).toBe(false);
          expect(await backend.get(key, soon())).toEqual(ONE);
          expectTtl(await backend.ttl(key, soon()), 60_000);
          expect(await backend.compareAndSet(key, ONE, change(), soon())).toBe(true);
          expect(await backend.get(key, soon())).toEqual(bytes);
          expectTtl(await backend.ttl(key, soon()), ttl);
          expect(await backend.compareAndSet(other, ONE, change(), soon())).toBe(false);
          expect(await backend.has(other, soon())).toBe(false);
        },
      );

      it('keeps eternity as it keeps a running ttl', async () => {
        const key = freshKey();
        await backend.set(key, ONE, 'never', soon());
        await backend.compareAndSet(key, ONE, { set: TWO, expiry: { keepUpTo: Infinity } }, soon());
        expect(await backend.ttl(key, soon())).toBeNull();
      });

      it('keeps a running ttl only if it ends by the moment given, and eternity by none', async () => {
        const key = freshKey();
        const at = Date.now() + 60_000;
        const keepUpTo = (moment: number) =>
          backend.compareAndSet(key, ONE, { set: TWO, expiry: { keepUpTo: moment } }, soon());
        await backend.set(key, ONE, { at }, soon());
        expect(await keepUpTo(at - 1)).toBe(false);
        expect(await backend.get(key, soon())).toEqual(ONE);
        expect(await keepUpTo(at + 1000)).toBe(true);
        expectTtl(await backend.ttl(key, soon()), 60_000);
        await backend.set(key, ONE, 'never', soon());
        expect(await keepUpTo(at)).toBe(false);
        expect(await backend.getWithTtl(key, soon())).toEqual({ bytes: ONE, ttl: null });
      });

      it('is one atomic step: of concurrent changes of the same bytes exactly one is done', async () => {
        const key = freshKey();
        await backend.set(key, ONE, 'never', soon());
        const writers = Array.from({ length: 20 }, (_, i) => Buffer.from(`writer ${i}`));
        const done = await Promise.all(
          writers.map((set) => backend.compareAndSet(key, ONE, { set, expiry: 'never' }, soon())),
        );
        expect(done.filter(Boolean)).toHaveLength(1);
        expect(await backend.get(key, soon())).toEqual(writers[done.indexOf(true)]);
      });
    });

    describe('has, ttl and delete', () => {
      it('says whether a key is there, and how long it has', async () => {
        const key = freshKey();
        expect([await backend.has(key, soon()), await backend.ttl(key, soon())]).toEqual([false, undefined]);
        await backend.set(key, ONE, 'never', soon());
        expect([await backend.has(key, soon()), await backend.ttl(key, soon())]).toEqual([true, null]);
      });

      it('deletes each key and counts those that were there', async () => {
        const many = Array.from({ length: 1200 }, () => freshKey());
        await Promise.all(many.map((key) => backend.set(key, ONE, 'never', soon())));
        const told = await backend.delete([...many, freshKey(), many[0] ?? ''], soon());
        expect(told).toEqual([...many.map(() => Buffer.alloc(0)), undefined, undefined]);
        expect(await Promise.all(many.map((key) => backend.has(key, soon())))).not.toContain(true);
        expect(await backend.delete([], soon())).toEqual([]);
      });
    });

    describe('scan', () => {
      it('gives every key that begins with the prefix, each once, in batches', async () => {
        const own = Array.from({ length: 2500 }, (_, i) => `scan:${i}`);
        await Promise.all([...own, 'scam:1', 'scan', 'Scan:1'].map((key) => backend.set(key, ONE, 'never', soon())));
        const found = await allOf(backend.scan('scan:'));
        expect(found).toHaveLength(own.length);
        expect(new Set(found)).toEqual(new Set(own));
        expect(await allOf(backend.scan('nobody:'))).toEqual([]);
      });

      it.each(['*', '?', '[a-z]', '[^x]', '\\', '\\*', 'a]', '{1}', '😀'])('takes %s literally', async (prefix) => {
        const key = `glob:${prefix}:1`;
        await Promise.all([key, 'glob:a:1', 'glob:x:1', 'glob:b]:1'].map((k) => backend.set(k, ONE, 'never', soon())));
        expect(await allOf(backend.scan(`glob:${prefix}`))).toEqual([key]);
      });

      it('gives what is there during the whole walk, whatever comes and goes meanwhile', async () => {
        const stay = Array.from({ length: 3000 }, (_, i) => `walk:stay:${i}`);
        const go = Array.from({ length: 1000 }, (_, i) => `walk:go:${i}`);
        await Promise.all([...stay, ...go].map((key) => backend.set(key, ONE, 'never', soon())));
        const found: string[] = [];
        for await (const batch of backend.scan('walk:')) {
          found.push(...batch);
          await backend.delete(go.splice(0, 300), soon());
          await backend.set(`walk:new:${found.length}`, ONE, 'never', soon());
        }
        const seen = new Set(found);
        expect(seen.size).toBe(found.length);
        expect(stay.filter((key) => !seen.has(key))).toEqual([]);
      });
    });

    describeHeads(() => opened.backend);
    describeIndexes(() => opened.backend);
    if (server) describeServer(() => opened as OpenServerBackend);
  });
}

/** A ttl that was given a moment ago. */
export function expectTtl(ttl: number | null | undefined, given: number | null | undefined): void {
  if (typeof given !== 'number') return expect(ttl).toBe(given);
  expect(ttl).toBeLessThanOrEqual(given);
  expect(ttl).toBeGreaterThan(given - 4000);
}
