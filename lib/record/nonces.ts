import { randomBytes } from 'node:crypto';

export const NONCE_BYTES = 24;

/** Nonces of one draw. */
const DRAWN = 256;

/** Random nonces, drawn in bulk: drawn one by one, they make a `put` of an encrypted store take 1.17 times as long (bench/micro.mjs). */
export class Nonces {
  #drawn = Buffer.alloc(0);
  #used = 0;

  next(): Buffer {
    if (this.#used === this.#drawn.length) {
      this.#drawn = randomBytes(NONCE_BYTES * DRAWN);
      this.#used = 0;
    }
    return this.#drawn.subarray(this.#used, (this.#used += NONCE_BYTES));
  }
}
