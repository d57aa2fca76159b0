import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import sodium, { ready } from 'libsodium-wrappers';
import type { Aead } from '../../lib/record/aead.js';
import { inScratch } from '../../lib/record/scratch-aead.js';
import { loadAead } from '../../lib/record/sodium.js';

/* What is relied on of libsodium-wrappers that it does not document: `libsodium`, with its memory and functions. */

const manifest = new URL('../../node_modules/libsodium-wrappers/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };

const documented: Aead = {
  seal: (plain, associated, nonce, key) =>
    Buffer.from(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, null, nonce, key)),
  open: (sealed, associated, nonce, key) =>
    Buffer.from(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, associated, nonce, key)),
};

describe(`the memory of libsodium-wrappers ${version}`, () => {
  let fast: Aead;
  let raw: { readonly HEAPU8: Uint8Array };
  beforeAll(async () => {
    await ready;
    fast = inScratch(documented, sodium);
    raw = Reflect.get(sodium, 'libsodium') as typeof raw;
  });

  const arguments_ = () => [randomBytes(70), randomBytes(24), randomBytes(32)] as const;
  const remembers = (bytes: Buffer) => Buffer.from(raw.HEAPU8.buffer).includes(bytes);

  it('is used', () => {
    expect(fast).not.toBe(documented);
  });

  // The longest that fits beside 70 associated bytes has 32,626; the largest makes the memory grow.
  it.each([0, 1, 63, 64, 300, 32_626, 32_627, 100_000, 8_000_000, 300])('seals and opens %d bytes', (length) => {
    const [plain, rest] = [randomBytes(length), arguments_()];
    const sealed = fast.seal(plain, ...rest);
    expect(sealed.equals(documented.seal(plain, ...rest))).toBe(true);
    expect(fast.open(sealed, ...rest).equals(plain)).toBe(true);
  });

  it('opens nothing that was altered, or is too short', () => {
    const [associated, nonce, key] = arguments_();
    const sealed = fast.seal(Buffer.from('secret'), associated, nonce, key);
    const altered = (bytes: Buffer) => {
      const copy = Buffer.from(bytes);
      copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 1, copy.length - 1);
      return copy;
    };
    expect(() => fast.open(altered(sealed), associated, nonce, key)).toThrow();
    expect(() => fast.open(sealed, altered(associated), nonce, key)).toThrow();
    expect(() => fast.open(sealed, associated, altered(nonce), key)).toThrow();
    expect(() => fast.open(sealed, associated, nonce, altered(key))).toThrow();
    expect(() => fast.open(sealed.subarray(0, 15), associated, nonce, key)).toThrow();
    expect(() => fast.open(sealed, associated, nonce.subarray(1), key)).toThrow();
    expect(() => fast.seal(sealed, associated, nonce, key.subarray(1))).toThrow();
    expect(fast.open(sealed, associated, nonce, key).toString()).toBe('secret');
  });

  it('is one piece for all stores of a process, since it is never given back', async () => {
    expect(await loadAead()).toBe(await loadAead());
  });

  it('keeps neither plaintext nor key', () => {
    const [plain, [associated, nonce, key]] = [randomBytes(300), arguments_()];
    const sealed = fast.seal(plain, associated, nonce, key);
    fast.open(sealed, associated, nonce, key);
    expect(() => fast.open(sealed, randomBytes(70), nonce, key)).toThrow();
    expect([remembers(plain), remembers(key), remembers(sealed)]).toEqual([false, false, false]);
    documented.seal(plain, associated, nonce, key);
    expect(remembers(key)).toBe(true); // so the look is a good one
  });

  it('is not used where there is none, or where what happens there is not the same', () => {
    const functions = { ...raw, HEAPU8: raw.HEAPU8 } as Record<string, unknown>;
    const others = [
      undefined,
      {},
      { ...functions, _malloc: undefined },
      { ...functions, _crypto_aead_xchacha20poly1305_ietf_encrypt: () => 0 },
      { ...functions, _crypto_aead_xchacha20poly1305_ietf_decrypt: () => 0 },
      { ...functions, _crypto_aead_xchacha20poly1305_ietf_decrypt: () => -1 },
      { ...functions, _crypto_aead_xchacha20poly1305_ietf_encrypt: (at: bigint) => at + 1n },
    ];
    for (const libsodium of others) expect(inScratch(documented, { libsodium })).toBe(documented);
    expect(inScratch(documented, { libsodium: functions })).not.toBe(documented);
  });
});
