import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { CacheCorruptError, jsonSerializer, messagePackSerializer } from 'nestjs-redis-cache-store';
import { decodeRecord, encodeHead, encodeRecord, headOf } from '../../lib/record/layout.js';
import type { RecordHeader } from '../../lib/record/layout.js';
import { loadAead } from '../../lib/record/sodium.js';
import { reasonOf } from '../support/reason-of.js';
import { Shelf } from '../support/sealed-store.js';

/**
 * Computed once by other programs: Python's `cryptography`, RFC 5869 written out, and `openssl kdf` agreed on what is derived and
 * hashed; @noble/ciphers sealed the records. The first of XChaCha20-Poly1305 is of its specification (draft-irtf-cfrg-xchacha).
 */
interface Vectors {
  xchacha: { key: string; nonce: string; plain: string; associated: string; sealed: string }[];
  derivation: { master: string; namespace: string; id: string; seal: string; hash: string }[];
  names: { master: string; namespace: string; what: 'key' | 'tag'; text: string; hash: string }[];
  records: {
    title: string;
    keys: string[];
    namespace: string;
    hashKeys: boolean;
    key: string;
    redisKey: string;
    value: unknown;
    record: string;
  }[];
}

const file = new URL('vectors/encryption.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const UNTAGGED: RecordHeader = { createdAt: 1, ttl: null, tags: [] };
const hex = (text: string) => Buffer.from(text, 'hex');
const aead = await loadAead();

/** What a sealed record is made of. */
function openByHand(record: Buffer, sealKey: Buffer, redisKey: string) {
  const [{ payload }, head] = [decodeRecord(record), headOf(record)];
  const place = Buffer.from(redisKey);
  const associated = Buffer.concat([Buffer.from([place.length >> 8, place.length & 0xff]), place, head]);
  const plain = Buffer.from(aead.open(payload.subarray(28), associated, payload.subarray(4, 28), sealKey));
  const nameEnd = 2 + plain.readUInt16BE();
  return {
    id: payload.toString('hex', 0, 4),
    nonce: payload.toString('hex', 4, 28),
    name: plain.toString('utf8', 2, nameEnd),
    value: messagePackSerializer.deserialize(plain.subarray(nameEnd)),
  };
}

describe('sealed records', () => {
  let shelf: Shelf;
  beforeEach(() => (shelf = new Shelf()));

  describe('known answers', () => {
    it.each(vectors.xchacha)('of XChaCha20-Poly1305, for the key $key', ({ key, nonce, plain, associated, sealed }) => {
      const seal = aead.seal(hex(plain), hex(associated), hex(nonce), hex(key));
      expect(Buffer.from(seal).toString('hex')).toBe(sealed);
      const open = aead.open(hex(sealed), hex(associated), hex(nonce), hex(key));
      expect(Buffer.from(open).toString('hex')).toBe(plain);
    });

    it.each(vectors.derivation)('of the key id and the sealing key, for $namespace', async (vector) => {
      const { master, namespace, id, seal } = vector;
      const store = await shelf.open({ namespace, encryption: { keys: [hex(master)] } });
      await store.put('user:42', ['Zoë']);
      const redisKey = `${namespace}:user:42`;
      const record = await shelf.get(redisKey);
      expect(openByHand(record, hex(seal), redisKey)).toMatchObject({ id, name: '', value: ['Zoë'] });
      expect([...record.subarray(0, 2)]).toEqual([0xc1, 0x21]);
    });

    it.each(vectors.names)('of the hash of the $what $text in $namespace', async (vector) => {
      const { master, namespace, what, text, hash } = vector;
      const derived = vectors.derivation.find((each) => each.master === master && each.namespace === namespace);
      const hmac = createHmac('sha256', hex(derived?.hash ?? ''));
      expect(hmac.update(`${what}:${text}`).digest('base64url').slice(0, 32)).toBe(hash);

      const store = await shelf.open({ namespace, encryption: { keys: [master] }, hashKeys: true });
      await store.put(what === 'key' ? text : 'other', 1, { tags: what === 'tag' ? [text] : [] });
      const [redisKey = ''] = await shelf.keys(`${namespace}:`);
      const names = [redisKey, ...decodeRecord(await shelf.get(redisKey)).header.tags];
      expect(names.at(-1)).toBe(what === 'key' ? `${namespace}:${hash}` : hash);
      expect(openByHand(await shelf.get(redisKey), hex(derived?.seal ?? ''), redisKey).name).toBe(
        what === 'key' ? text : 'other',
      );
    });

    it.each(vectors.records)('of a record: $title', async (vector) => {
      const { keys, namespace, hashKeys, key, redisKey, value, record } = vector;
      await shelf.put(redisKey, hex(record));
      const store = await shelf.open({ namespace, encryption: { keys, hashKey: keys.at(-1) ?? '' }, hashKeys });
      expect(await store.get(key)).toEqual(value);
      expect(await store.keys()).toEqual([key]);
      expect(await store.replace(key, 'new')).toBe(true); // by the first key, header kept
      const [before, after] = [decodeRecord(hex(record)), decodeRecord(await shelf.get(redisKey))];
      expect(after.header).toEqual(before.header);
      const id = vectors.derivation.find((each) => each.master === keys[0] && each.namespace === namespace)?.id;
      expect(after.payload.toString('hex', 0, 4)).toBe(id);
    });
  });

  describe('an altered record is a CacheCorruptError, never a value', () => {
    const options = {
      namespace: 'session',
      encryption: { keys: [randomBytes(32), randomBytes(32)], hashKey: randomBytes(32) },
      hashKeys: true,
      ttl: '1h',
      maxAge: '30d',
      sliding: true,
    };

    /** A store with a record at `redisKey`, whose header has everything. It was read before, which makes no difference. */
    async function written(more: object = {}) {
      const store = await shelf.open({ ...options, ...more });
      await store.put('user:42', { userId: 42 }, { tags: ['admin'] });
      const [redisKey = ''] = await shelf.keys('session:');
      expect(await store.get('user:42')).toEqual({ userId: 42 });
      return { store, redisKey, record: await shelf.get(redisKey) };
    }

    async function expectCorrupt(call: Promise<unknown>): Promise<void> {
      const error = await reasonOf(call);
      expect(error).toBeInstanceOf(CacheCorruptError);
      expect(error).toMatchObject({ name: 'CacheCorruptError', code: 'CACHE_CORRUPT' });
      expect(inspect(error, { showHidden: true, depth: null })).not.toMatch(/user:42|userId|admin/);
    }

    it('whichever bit of it was turned', async () => {
      const { store, redisKey, record } = await written();
      for (let bit = 0; bit < 8 * record.length; bit++) {
        const altered = Buffer.from(record);
        altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await shelf.put(redisKey, altered);
        expect([bit, await reasonOf(store.get('user:42'))]).toEqual([bit, expect.any(CacheCorruptError)]);
      }
      await shelf.put(redisKey, record);
      expect(await store.get('user:42')).toEqual({ userId: 42 });
    });

    it('whichever byte of it was altered, through every method that reads it', async () => {
      const { store, redisKey, record } = await written();
      for (let at = 0; at < record.length; at++) {
        const altered = Buffer.from(record);
        altered[at] = ((altered[at] ?? 0) + 1 + (at % 255)) & 0xff;
        await shelf.put(redisKey, altered);
        await expectCorrupt(store.get('user:42'));
        await expectCorrupt(store.get('user:42', { touch: true }));
        await expectCorrupt(store.getMany(['user:42']));
        await expectCorrupt(store.update('user:42', () => 1));
        await expectCorrupt(store.replace('user:42', 1));
        await expectCorrupt(store.touch('user:42'));
        await expectCorrupt(store.getOrPut('user:42', () => 1));
        await expectCorrupt(store.keys());
        await expectCorrupt(store.entries()[Symbol.asyncIterator]().next());
        await expectCorrupt(store.take('user:42'));
        expect(await shelf.get(redisKey)).toEqual(altered);
      }
    });

    it('however much is missing or too much', async () => {
      const { store, redisKey, record } = await written();
      for (let length = 0; length < record.length; length++) {
        await shelf.put(redisKey, record.subarray(0, length));
        await expectCorrupt(store.get('user:42'));
        await shelf.put(redisKey, record.subarray(record.length - length));
        await expectCorrupt(store.get('user:42'));
      }
      for (const more of [[0], record]) {
        await shelf.put(redisKey, Buffer.concat([record, Buffer.from(more)]));
        await expectCorrupt(store.get('user:42'));
      }
    });

    it('when it was copied to another key, or from one', async () => {
      const { store, redisKey, record } = await written({ hashKeys: false });
      expect(redisKey).toBe('session:user:42');
      await shelf.put('session:user:1', record);
      await expectCorrupt(store.get('user:1'));
      await store.put('user:1', { userId: 1 }, { tags: ['admin'] });
      await shelf.put(redisKey, await shelf.get('session:user:1'));
      await expectCorrupt(store.get('user:42'));
    });

    it('when it was copied to another namespace with the same keys', async () => {
      const { record } = await written({ hashKeys: false });
      const other = await shelf.open({ ...options, hashKeys: false, namespace: 'reset-token' });
      await shelf.put('reset-token:user:42', record);
      await expectCorrupt(other.get('user:42'));
    });

    const forgeries: [string, Partial<RecordHeader>][] = [
      ['no tags', { tags: [] }],
      ['another tag', { tags: ['user:7'] }],
      ['a younger age', { createdAt: Date.now() + 60_000 }],
      ['a longer ttl', { ttl: 1e12 }],
      ['no ttl', { ttl: null }],
      ['another incarnation', { incarnation: 'AAAAAAAAAAA' }],
      ['a fixed end', { fixedEnd: true }],
      ['a grace that ends it', { movedAway: true }],
    ];
    it.each(forgeries)('when its header was replaced by one with %s', async (_, forged) => {
      const { store, redisKey, record } = await written();
      const [{ header, payload }, head] = [decodeRecord(record), headOf(record)];
      expect(head.length).toBeGreaterThan(40);
      expect(encodeHead(header, true)).toEqual(head); // so that only what is forged makes the difference
      const altered = encodeRecord(encodeHead({ ...header, ...forged }, true), payload);
      await shelf.put(redisKey, altered);
      await expectCorrupt(store.get('user:42'));
      await expectCorrupt(store.get('user:42', { touch: true }));
      await expectCorrupt(store.replace('user:42', 1));
      await expectCorrupt(store.update('user:42', () => 1));
      await expectCorrupt(store.touch('user:42'));
      expect(await shelf.get(redisKey)).toEqual(altered);
    });

    it('when it was never sealed, in a store that seals', async () => {
      const { store, redisKey } = await written();
      const plain = encodeRecord(encodeHead(UNTAGGED, false), messagePackSerializer.serialize({ userId: 1 }));
      for (const bytes of [plain, jsonSerializer.serialize({ userId: 1 }), Buffer.from('{"userId":1}'), Buffer.of()]) {
        await shelf.put(redisKey, bytes);
        await expectCorrupt(store.get('user:42'));
        await expectCorrupt(store.replace('user:42', 1));
        await expectCorrupt(store.touch('user:42'));
        await expectCorrupt(store.take('user:42'));
      }
    });

    it('when it is sealed, in a store without keys or with others', async () => {
      await written({ hashKeys: false });
      const others: object[] = [{ encryption: false }, { encryption: { keys: [randomBytes(32)] } }];
      for (const other of others) {
        const store = await shelf.open({ ...options, hashKeys: false, ...other });
        await expectCorrupt(store.get('user:42'));
        await expectCorrupt(store.replace('user:42', 1));
        await expectCorrupt(store.touch('user:42'));
      }
    });

    it(`and absent, with a warning that tells nothing, where the store says onCorrupt: 'miss'`, async () => {
      const { store, redisKey } = await written({ onCorrupt: 'miss' });
      await store.put('other', 1);
      const [otherKey] = (await shelf.keys('session:')).filter((key) => key !== redisKey);
      await shelf.put(redisKey, await shelf.get(otherKey ?? ''));
      expect(await store.get('user:42')).toBeUndefined();
      expect(await store.replace('user:42', 1)).toBe(false);
      expect(shelf.warnings).toHaveLength(1); // of two reads: one a minute is enough
      expect(shelf.warnings.join()).not.toMatch(/user:42|userId|admin/);
    });
  });

  it('never seals twice in the same way: every nonce is new', async () => {
    const { master, seal } = vectors.derivation[0] ?? { master: '', seal: '' };
    const store = await shelf.open({ namespace: 'session', encryption: { keys: [master] } });
    const nonces = new Set<string>();
    for (let i = 0; i < 2000; i++) {
      await store.put('key', 1);
      nonces.add(openByHand(await shelf.get('session:key'), hex(seal), 'session:key').nonce);
    }
    expect(nonces.size).toBe(2000);
  });

  it('open anew for every caller, who may do with the bytes whatever it likes', async () => {
    const serializer = { serialize: (value: unknown) => value as Buffer, deserialize: (bytes: Uint8Array) => bytes };
    const store = await shelf.open({ serializer, encryption: { keys: [randomBytes(32)] } });
    await store.put('key', Buffer.from('session'));
    for (let i = 0; i < 3; i++) {
      const found = await store.get<Buffer>('key');
      expect(String(found)).toBe('session');
      found?.fill(0);
    }
  });

  it('show nothing of the value, whatever serializer wrote it', async () => {
    for (const serializer of [messagePackSerializer, jsonSerializer]) {
      const store = await shelf.open({ namespace: 'session', serializer, encryption: { keys: [randomBytes(32)] } });
      await store.put('key', { token: 'plain-to-see' });
      expect(await store.get('key')).toEqual({ token: 'plain-to-see' });
      expect((await shelf.get('session:key')).includes('plain-to-see')).toBe(false);
    }
  });

  it('count against maxBytes as they are, not as they were before', async () => {
    const store = await shelf.open({ maxBytes: 112, encryption: { keys: [randomBytes(32)] } });
    await store.put('key', 'x'.repeat(50)); // 14 + 44 + 2 + 52
    await expect(store.put('key', 'x'.repeat(51))).rejects.toThrow('value: takes 113 bytes');
  });
});
