import { namespaceOf } from '../connection/invalidation-feed.js';

/**
 * What one reply should bring at most, in bytes: over a slow line it takes some hundredths of a second, so that one that comes in
 * part before the deadline loses little, and small records do not wait for large ones.
 */
export const REPLY = 128 * 1024;
/** Records of this size are read as many at once as can be: that some are smaller does not matter. */
const SMALL = 512;
/** How fast a large record that was seen once is forgotten, with each one that is smaller. */
const FADING = 0.98;
/** The mean is that of about so many records. */
const REMEMBERED = 16;
/** So many records are remembered that are larger than a reply should be. */
const MOST_LARGE = 1000;

/** Of the records of a namespace, in bytes. */
interface Sizes {
  largest: number;
  mean: number;
}

/**
 * How large the records of each namespace are, as far as has been seen, so that what is read together is bounded by bytes. A
 * record that is far larger than all before it may still fail those that are read with it over a slow line: once.
 */
export class RecordSizes {
  private readonly sizes = new Map<string, Sizes>();
  /** Those records that are larger than a reply should be, by key. */
  private readonly large = new Map<string, number>();

  /** @param largest - how large a record may be, in bytes */
  constructor(private readonly largest: number) {}

  /** So many of these keys should be read with one command. */
  keysAtOnce(keys: readonly string[]): number {
    if (this.large.size > 0 && keys.some((key) => this.large.has(key))) return 1;
    return Math.max(1, Math.floor(REPLY / this.most(keys, 'largest', REPLY)));
  }

  /** How many bytes a reply with the records of these keys is expected to have. Until one was seen, that may be any size. */
  replySize(keys: readonly string[]): number {
    const [key = ''] = keys;
    const known = keys.length === 1 && this.large.size > 0 ? this.large.get(key) : undefined;
    return known ?? keys.length * this.most(keys, 'mean', this.largest);
  }

  /** Whether a record was larger than a reply should be when it was seen last. */
  isLarge(key: string): boolean {
    return this.large.has(key);
  }

  /**
   * How many bytes of a record are to be asked for, and one more, which tells that it is larger: all that a record may have if it is
   * large, else as many as a reply should bring.
   */
  bytesToAskFor(key: string): number {
    return this.isLarge(key) ? this.largest : Math.min(this.largest, REPLY);
  }

  /** A record under this key has so many bytes, or 0 if there is none. */
  see(key: string, size: number): void {
    if (size > REPLY) this.remember(key, size);
    else if (this.large.size > 0) this.large.delete(key);
    const namespace = namespaceOf(key);
    const known = this.sizes.get(namespace);
    if (known === undefined) this.sizes.set(namespace, { largest: size, mean: size });
    else if (size > known.largest || known.largest > SMALL) {
      known.largest = Math.max(size, known.largest * FADING);
      known.mean += (size - known.mean) / REMEMBERED;
    }
  }

  /** A record is larger than a reply should be, nobody knows by how much. */
  exceed(key: string): void {
    this.forget([key]);
    this.remember(key, this.largest);
  }

  /** A reply did not come: perhaps it was too large. */
  forget(keys: readonly string[]): void {
    for (const namespace of new Set(keys.map(namespaceOf))) {
      const { largest, mean } = this.sizes.get(namespace) ?? { largest: REPLY, mean: REPLY };
      this.sizes.set(namespace, { largest: Math.max(largest, REPLY), mean });
    }
  }

  private remember(key: string, size: number): void {
    this.large.set(key, size);
    const [oldest] = this.large.keys();
    if (this.large.size > MOST_LARGE && oldest !== undefined) this.large.delete(oldest);
  }

  private most(keys: readonly string[], which: keyof Sizes, unseen: number): number {
    let most = 1;
    let last: string | undefined;
    for (const key of keys) {
      const namespace = namespaceOf(key);
      if (namespace === last) continue; // as most are
      last = namespace;
      most = Math.max(most, this.sizes.get(namespace)?.[which] ?? unseen);
    }
    return most;
  }
}
