/** Authenticated encryption: what is sealed opens only with the same nonce, key and associated bytes, and unaltered. */
export interface Aead {
  /** Ciphertext and tag. */
  seal(plain: Uint8Array, associated: Uint8Array, nonce: Uint8Array, key: Uint8Array): Buffer;
  /** @throws if anything is not as it was when that was sealed */
  open(sealed: Uint8Array, associated: Uint8Array, nonce: Uint8Array, key: Uint8Array): Buffer;
}
