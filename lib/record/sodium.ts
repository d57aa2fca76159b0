import type { Aead } from './aead.js';
import { inScratch } from './scratch-aead.js';

/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) of libsodium. Its nonces have 24 bytes, so that random ones are safe for 2^80 records
 * under one key. With AES-256-GCM of node:crypto, whose objects cost more than their work, reads take 1.5 times and writes 1.4 times as
 * long (bench/micro.mjs). Only those who encrypt wait for libsodium: loading it takes some 50 ms and 10 MB.
 */
export function loadAead(): Promise<Aead> {
  return (loaded ??= load());
}

/** One for all, as its memory is never given back. */
let loaded: Promise<Aead> | undefined;

async function load(): Promise<Aead> {
  const { default: sodium } = await import('libsodium-wrappers');
  await sodium.ready;
  const aead: Aead = {
    seal: (plain, associated, nonce, key) =>
      bufferOf(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, null, nonce, key)),
    open: (sealed, associated, nonce, key) =>
      bufferOf(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, associated, nonce, key)),
  };
  return inScratch(aead, sodium);
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
