import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Cipher } from 'node:crypto';

const BLOCK_BYTES = 16;
const CIPHER = 'aes-256-gcm';

export const NONCE_BYTES = 24;
export const TAG_BYTES = 16;
/** The letter that the standard puts into the blocks of the derivation. */
const X = 0x58;
/** The half of the nonce that takes part in the derivation of a key; the other half is the nonce of AES-GCM. */
const HALF = NONCE_BYTES / 2;

/**
 * A key of XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM with nonces of 24 bytes. Twelve of them derive a key for
 * the message, twelve are its nonce. Random nonces are safe for 2^80 messages; AES-GCM alone allows 2^32 under one key (NIST SP 800-38D).
 */
export class XaesKey {
  /** AES of single blocks. It keeps no state between blocks, so that it serves every message; a new one would take half as long as sealing. */
  readonly #aes: Cipher;
  /** Both blocks of the derivation, ready but for the nonce. */
  readonly #blocks: Buffer;

  constructor(key: Buffer) {
    this.#aes = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
    const mask = doubled(this.#aes.update(Buffer.alloc(BLOCK_BYTES)));
    this.#blocks = Buffer.concat([1, 2].map((i) => xor(Buffer.from(mask), Buffer.of(0, i, X, 0), 0)));
  }

  /** Writes ciphertext and tag to `target` from `at` on. */
  seal(nonce: Uint8Array, plain: Uint8Array, associated: Uint8Array, target: Buffer, at: number): void {
    const cipher = createCipheriv(CIPHER, this.#derive(nonce), nonce.subarray(HALF), { authTagLength: TAG_BYTES });
    cipher.setAAD(associated);
    target.set(cipher.update(plain), at);
    cipher.final(); // GCM is a stream cipher: nothing is left over
    target.set(cipher.getAuthTag(), at + plain.length);
  }

  /** From ciphertext and tag; throws if they, the nonce or the associated data are not those that were sealed. */
  open(nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Buffer {
    const decipher = createDecipheriv(CIPHER, this.#derive(nonce), nonce.subarray(HALF), { authTagLength: TAG_BYTES });
    decipher.setAAD(associated);
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const plain = decipher.update(sealed.subarray(0, -TAG_BYTES));
    decipher.final();
    return plain;
  }

  /** The key of a message: both blocks, each with the first half of the nonce, encrypted. */
  #derive(nonce: Uint8Array): Buffer {
    const blocks = Buffer.from(this.#blocks);
    const half = nonce.subarray(0, HALF);
    for (const end of [BLOCK_BYTES, 2 * BLOCK_BYTES]) xor(blocks, half, end - HALF);
    return this.#aes.update(blocks);
  }
}

/** Changes the bytes of `target` from `at` on. */
function xor(target: Buffer, bytes: Uint8Array, at: number): Buffer {
  for (let i = 0; i < bytes.length; i++) target[at + i] = (target[at + i] ?? 0) ^ (bytes[i] ?? 0);
  return target;
}

/** Twice a block, as an element of GF(2^128). */
function doubled(block: Buffer): Buffer {
  const twice = block.map((byte, i) => (byte << 1) | ((block[i + 1] ?? 0) >> 7));
  return xor(Buffer.from(twice), Buffer.of(0x87 * ((block[0] ?? 0) >> 7)), BLOCK_BYTES - 1);
}
