import type { CacheBackend, HeadChange } from '../../lib/backend/cache-backend.js';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { encodeHead, encodeRecord, headLength } from '../../lib/record/layout.js';
import { expectTtl, freshKey, ONE, soon, TWO } from './backend-contract.js';

const NOTHING = Buffer.alloc(0);
const header = { createdAt: 1_700_000_000_000, ttl: 60_000, tags: [] };

/** A record with tags, and its head. */
export function tagged(tags = ['user:42', '🔑'], payload = 1000): { head: Buffer; bytes: Buffer } {
  const head = encodeHead({ ...header, tags, incarnation: newIncarnation(0) }, false);
  return { head, bytes: encodeRecord(head, Buffer.alloc(payload, 7)) };
}

const plain = encodeRecord(encodeHead(header, false), Buffer.alloc(100, 7));

/** The part of the contract about the heads of records. */
export function describeHeads(backend: () => CacheBackend): void {
  describe('heads', () => {
    it('are given whole, however many tags they name, with the beginning of whatever else there is', async () => {
      const records = [tagged(), tagged(['t'], 0), tagged(Array.from({ length: 64 }, (_, i) => `${i}`.repeat(250)))];
      const all = [...records.map(({ bytes }) => bytes), plain, TWO, NOTHING];
      const keys = all.map(() => freshKey());
      await Promise.all(keys.map((key, i) => backend().set(key, all[i] ?? NOTHING, 'never', soon())));
      const found = await backend().heads([...keys, freshKey()], soon());
      expect(found.slice(0, 3)).toEqual(records.map(({ head }) => head));
      const start = found[3] ?? NOTHING;
      expect(start.subarray(0, headLength(start))).toEqual(plain.subarray(0, headLength(plain)));
      expect(start.length).toBeLessThan(50); // and not the value
      expect(found.slice(4)).toEqual([TWO, NOTHING, undefined]);
      expect(await backend().heads([], soon())).toEqual([]);
    });

    it('are given of thousands of records, more than fit into one reply', async () => {
      const { bytes, head } = tagged(['x'.repeat(500)]);
      const keys = Array.from({ length: 1000 }, () => freshKey());
      await Promise.all(keys.map((key) => backend().set(key, bytes, 'never', soon())));
      expect(await backend().heads(keys, soon())).toEqual(keys.map(() => head));
      expect(await backend().delete(keys, soon())).toEqual(keys.map(() => head));
    });

    it('are told by delete where they name tags', async () => {
      const { head, bytes } = tagged();
      const keys = [bytes, plain, ONE].map(() => freshKey());
      await Promise.all([bytes, plain, ONE].map((each, i) => backend().set(keys[i] ?? '', each, 'never', soon())));
      expect(await backend().delete([...keys, freshKey()], soon())).toEqual([head, NOTHING, NOTHING, undefined]);
    });

    it('are told by swap where it overwrites a record with tags, and not where it does not', async () => {
      const key = freshKey();
      const { head, bytes } = tagged();
      expect(await backend().swap(key, bytes, { in: 60_000 }, soon())).toBeUndefined();
      expectTtl(await backend().ttl(key, soon()), 60_000);
      expect(await backend().swap(key, plain, 'never', soon())).toEqual(head);
      expect(await backend().getWithTtl(key, soon())).toEqual({ bytes: plain, ttl: null });
      expect(await backend().swap(key, ONE, 'never', soon())).toBeUndefined();
      expect(await backend().swap(key, TWO, 'never', soon())).toBeUndefined();
    });
  });

  describe('take', () => {
    it('takes a plain record once: at most one of concurrent callers gets the bytes', async () => {
      for (const record of [plain, tagged().bytes]) {
        const key = freshKey();
        await backend().set(key, record, 'never', soon());
        const taken = await Promise.all(Array.from({ length: 20 }, () => backend().take(key, soon())));
        expect(taken.filter((bytes) => bytes?.equals(record))).toHaveLength(1);
        expect(taken.filter((bytes) => bytes === undefined)).toHaveLength(19);
        expect(await backend().has(key, soon())).toBe(false);
      }
    });

    it.each([
      ['an encrypted record', encodeRecord(encodeHead({ ...header, fixedEnd: true }, true), TWO)],
      ['a record of another version', Buffer.from([0xc1, 0x30, 1])],
      ['the first byte of a record', Buffer.from([0xc1])],
      ['other bytes', ONE],
      ['no bytes', NOTHING],
    ])('gives %s, and leaves it', async (_, bytes) => {
      const key = freshKey();
      await backend().set(key, bytes, 'never', soon());
      expect(await backend().take(key, soon())).toEqual(bytes);
      expect(await backend().has(key, soon())).toBe(true);
    });
  });

  describe('compareHead', () => {
    const changes: [string, () => HeadChange, number | null | undefined][] = [
      ['gives so many ms', () => ({ expire: { in: 5000 } }), 5000],
      ['gives until a moment', () => ({ expire: { at: Date.now() + 90_000 } }), 90_000],
      ['gives eternity', () => ({ expire: 'never' }), null],
      ['deletes', () => 'delete', undefined],
    ];

    it.each(changes)('%s if the bytes begin with the head, and does nothing otherwise', async (_, change, ttl) => {
      const [key, other] = [freshKey(), freshKey()];
      const { head, bytes } = tagged();
      await backend().set(key, bytes, { in: 60_000 }, soon());
      expect(await backend().compareHead(key, tagged().head, change(), soon())).toBe(false);
      expect(await backend().get(key, soon())).toEqual(bytes);
      expectTtl(await backend().ttl(key, soon()), 60_000);
      expect(await backend().compareHead(key, head, change(), soon())).toBe(true);
      expect(await backend().get(key, soon())).toEqual(ttl === undefined ? undefined : bytes);
      expectTtl(await backend().ttl(key, soon()), ttl);
      expect(await backend().compareHead(other, head, change(), soon())).toBe(false);
      expect(await backend().has(other, soon())).toBe(false);
    });

    it('gives a new ttl only if the record has no more left than it may, and eternity is more', async () => {
      const key = freshKey();
      const extend = (ifLeft: number) => backend().compareHead(key, ONE, { expire: { in: 90_000 }, ifLeft }, soon());
      await backend().set(key, ONE, { in: 60_000 }, soon());
      expect(await extend(50_000)).toBe(false);
      expectTtl(await backend().ttl(key, soon()), 60_000);
      expect(await extend(60_000)).toBe(true);
      expectTtl(await backend().ttl(key, soon()), 90_000);
      await backend().set(key, ONE, 'never', soon());
      expect(await extend(60_000)).toBe(false);
      expect(await backend().ttl(key, soon())).toBeNull();
    });
  });
}
