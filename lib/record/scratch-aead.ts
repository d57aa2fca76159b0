import type { Aead } from './aead.js';

const TAG_BYTES = 16;
const NONCE_BYTES = 24;
const KEY_BYTES = 32;
/** What needs more is sealed and opened by the documented functions. In bytes. */
const SCRATCH = 32 * 1024;

/** What libsodium-wrappers itself calls. It has it as `libsodium`, which it does not document. */
interface RawSodium {
  readonly HEAPU8: Uint8Array;
  _malloc(size: number): number;
  // As in C, with addresses in HEAPU8 as numbers, and each length (of 64 bits) as two, the lower half first.
  _crypto_aead_xchacha20poly1305_ietf_encrypt(...args: number[]): number;
  _crypto_aead_xchacha20poly1305_ietf_decrypt(...args: number[]): number;
}

/**
 * What `documented` does, within one piece of libsodium's memory, which is wiped each time. The documented functions allocate and free five
 * pieces for each call, in which key and plaintext stay: with them a `get` of an encrypted store takes 1.1, a `put` 1.2 times as long
 * (bench/micro.mjs). They are used where libsodium-wrappers has no such memory, or where what happens there is not the same.
 */
export function inScratch(documented: Aead, sodium: object): Aead {
  try {
    const fast = scratchAead(documented, Reflect.get(sodium, 'libsodium') as RawSodium);
    return agree(documented, fast) ? fast : documented;
  } catch {
    return documented;
  }
}

function scratchAead(documented: Aead, raw: RawSodium): Aead {
  const KEY = raw._malloc(SCRATCH);
  const NONCE = KEY + KEY_BYTES;
  const ASSOCIATED = NONCE + NONCE_BYTES;

  /** Lays out what a function of libsodium takes, calls it, and gives the bytes that it left in the place of the input. */
  function inPlace(
    input: Uint8Array,
    [associated, nonce, key]: readonly [Uint8Array, Uint8Array, Uint8Array],
    size: number,
    call: (at: number) => number,
  ): Buffer {
    const at = ASSOCIATED + associated.length;
    const memory = raw.HEAPU8; // another one as soon as the memory has grown
    memory.set(key, KEY);
    memory.set(nonce, NONCE);
    memory.set(associated, ASSOCIATED);
    memory.set(input, at);
    try {
      if (call(at) !== 0) throw new Error('altered');
      const result = Buffer.allocUnsafe(size);
      result.set(memory.subarray(at, at + size));
      return result;
    } finally {
      memory.fill(0, KEY, at + input.length + TAG_BYTES);
    }
  }
  const fits = (input: Uint8Array, [associated, nonce, key]: readonly Uint8Array[]) =>
    nonce?.length === NONCE_BYTES &&
    key?.length === KEY_BYTES &&
    input.length + (associated?.length ?? 0) <= SCRATCH - KEY_BYTES - NONCE_BYTES - TAG_BYTES;

  return {
    seal(plain, ...rest) {
      if (!fits(plain, rest)) return documented.seal(plain, ...rest);
      const [length, more] = [plain.length, rest[0].length];
      return inPlace(plain, rest, length + TAG_BYTES, (at) =>
        raw._crypto_aead_xchacha20poly1305_ietf_encrypt(at, 0, at, length, 0, ASSOCIATED, more, 0, 0, NONCE, KEY),
      );
    },
    open(sealed, ...rest) {
      if (!fits(sealed, rest)) return documented.open(sealed, ...rest);
      const [length, more] = [sealed.length, rest[0].length];
      return inPlace(sealed, rest, length - TAG_BYTES, (at) =>
        raw._crypto_aead_xchacha20poly1305_ietf_decrypt(at, 0, 0, at, length, 0, ASSOCIATED, more, 0, NONCE, KEY),
      );
    },
  };
}

/** Whether both seal alike, and both open what was sealed and nothing else. */
function agree(documented: Aead, fast: Aead): boolean {
  const some = (length: number) => Buffer.alloc(length, length);
  const [plain, rest] = [some(300), [some(20), some(NONCE_BYTES), some(KEY_BYTES)] as const];
  const sealed = documented.seal(plain, ...rest);
  if (!fast.seal(plain, ...rest).equals(sealed) || !fast.open(sealed, ...rest).equals(plain)) return false;
  sealed.writeUInt8(sealed.readUInt8() ^ 1);
  try {
    fast.open(sealed, ...rest);
    return false;
  } catch {
    return true;
  }
}
