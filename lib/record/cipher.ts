import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { CacheCorruptError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { KeyRing } from './key-ring.js';
import { NONCE_BYTES, Nonces } from './nonces.js';

const KEY_BYTES = 32;
const ID_BYTES = 4;
const TAG_BYTES = 16;
/** Where the ciphertext begins. */
const BODY = ID_BYTES + NONCE_BYTES;
/** Bytes that sealing adds to a record. */
const OVERHEAD = BODY + TAG_BYTES;

interface SubKey {
  readonly id: number;
  readonly key: Buffer;
}

/**
 * Seals records with XChaCha20-Poly1305, under keys that HKDF-SHA-256 (RFC 5869) derives for one namespace.
 * Sealed bytes: key id (4) · random nonce (24) · ciphertext · tag (16).
 * A record opens only where it was written, and with the head it was written with.
 */
export class RecordCipher {
  readonly #ring: KeyRing;
  readonly #namespace: string;
  readonly #hashKey: KeyObject;
  readonly #nonces = new Nonces();
  #derivedFrom: readonly Buffer[] = [];
  #derived: readonly SubKey[] = [];

  constructor(ring: KeyRing, namespace: string) {
    this.#ring = ring;
    this.#namespace = namespace;
    this.#hashKey = createSecretKey(derive(ring.hashKey, 'hash', namespace, KEY_BYTES));
  }

  /** A whole record for a Redis key: `head`, then the sealed bytes. */
  seal(head: Buffer, plain: Uint8Array, place: string): Buffer {
    const [subKey] = this.#subKeys;
    if (!subKey) throw new TypeError('a key ring is never empty');
    const nonce = this.#nonces.next();
    const sealed = this.#ring.aead.seal(plain, associated(place, head), nonce, subKey.key);
    const record = Buffer.allocUnsafe(head.length + BODY + sealed.length);
    record.set(head);
    record.set(nonce, record.writeUInt32BE(subKey.id, head.length));
    record.set(sealed, head.length + BODY);
    return record;
  }

  /** @throws CacheCorruptError if the bytes were altered, or sealed for another key or place; UnknownKeyError */
  open(head: Buffer, sealed: Buffer, place: string): Buffer {
    if (sealed.length < OVERHEAD) throw new CacheCorruptError('the encrypted record is truncated');
    const id = sealed.readUInt32BE();
    const subKey = this.#subKeys.find((known) => known.id === id);
    if (!subKey) throw new UnknownKeyError('the record is encrypted with a key that this store does not have');
    const [nonce, body] = [sealed.subarray(ID_BYTES, BODY), sealed.subarray(BODY)];
    try {
      return this.#ring.aead.open(body, associated(place, head), nonce, subKey.key);
    } catch {
      throw new CacheCorruptError('the encrypted record was altered, or is not from this place');
    }
  }

  /** The keyed hash of a key or tag: 192 bits of HMAC-SHA-256, in base64url. */
  hash(what: 'key' | 'tag', text: string): string {
    return createHmac('sha256', this.#hashKey).update(`${what}:${text}`).digest().toString('base64url', 0, 24);
  }

  /** Whether records that are not sealed are read, too. */
  get acceptsPlain(): boolean {
    return this.#ring.acceptsPlain;
  }

  /**
   * As `open`, once newer keys were asked for, for at most `patience` ms.
   *
   * @throws KeysUnavailableError if nobody tells the keys: a record of an unknown key is not corrupt, then
   */
  async reopen(head: Buffer, sealed: Buffer, place: string, patience: number): Promise<Buffer> {
    await this.#ring.refresh(patience);
    try {
      return this.open(head, sealed, place);
    } catch (error) {
      if (!(error instanceof UnknownKeyError && this.#ring.isIncomplete)) throw error;
      throw new KeysUnavailableError('timeout', 'not-sent', `${error.message}, and "encryption" gives no new keys`);
    }
  }

  /** Derived once for each list of master keys; the first seals. */
  get #subKeys(): readonly SubKey[] {
    if (this.#ring.isStale) void this.#ring.refresh(0); // the keys at hand go on being good
    const { keys } = this.#ring;
    if (keys === this.#derivedFrom) return this.#derived;
    this.#derivedFrom = keys;
    this.#derived = keys.map((master) => ({
      id: derive(master, 'id', this.#namespace, ID_BYTES).readUInt32BE(),
      key: derive(master, 'seal', this.#namespace, KEY_BYTES),
    }));
    return this.#derived;
  }
}

/** The one kind of corruption that newer keys may mend. */
export class UnknownKeyError extends CacheCorruptError {
  override readonly name = CacheCorruptError.name;
}

/** The one kind of outage that leaves a record to be listed and deleted, though not to be read. */
export class KeysUnavailableError extends CacheUnavailableError {
  override readonly name = CacheUnavailableError.name;
}

/** What is authenticated beside the ciphertext. */
function associated(place: string, head: Buffer): Buffer {
  const length = Buffer.byteLength(place);
  const bytes = Buffer.allocUnsafe(2 + length + head.length);
  bytes.writeUInt16BE(length);
  bytes.write(place, 2);
  bytes.set(head, 2 + length);
  return bytes;
}

function derive(master: Buffer, purpose: 'id' | 'seal' | 'hash', namespace: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', master, '', `nestjs-redis-cache-store/1/${purpose}/${namespace}`, length));
}
