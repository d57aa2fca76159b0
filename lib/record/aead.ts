/** Authenticated encryption: what is sealed opens only with the same nonce, key and associated bytes, and unaltered. */
export interface Aead {
  /** Ciphertext and tag. */
  seal(plain: Uint8Array, associated: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array;
  /** @throws if anything is not as it was when that was sealed */
  open(sealed: Uint8Array, associated: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array;
}

/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) of libsodium. Its nonces have 24 bytes, so that random ones are safe for 2^80 records
 * under one key. With AES-256-GCM of node:crypto, whose objects cost more than their work, reads take 1.4 times and writes 1.3 times as
 * long (bench/micro.mjs). Only those who encrypt wait for libsodium: loading it takes some 50 ms and 10 MB.
 */
export async function loadAead(): Promise<Aead> {
  const { default: sodium } = await import('libsodium-wrappers');
  await sodium.ready;
  return {
    seal: (plain, associated, nonce, key) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, null, nonce, key),
    open: (sealed, associated, nonce, key) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, associated, nonce, key),
  };
}
