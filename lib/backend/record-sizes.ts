/**
 * What one reply should bring at most, in bytes: over a slow line it takes some hundredths of a second, so that one that comes in
 * part before the deadline loses little, and small records do not wait for large ones.
 */
const REPLY = 128 * 1024;
/** What a record is taken for until one has been seen, in bytes. */
const UNSEEN = 8 * 1024;
/** Records of this size are read as many at once as can be: that some are smaller does not matter. */
const SMALL = 512;
/** How fast a large record that was seen once is forgotten, with each one that is smaller. */
const FADING = 0.98;

/**
 * How large the records of each namespace are, as far as has been seen, so that what is read together is bounded by bytes. The
 * first record that is far larger than all before it may still fail its neighbours over a slow line: once.
 */
export class RecordSizes {
  private readonly sizes = new Map<string, number>();

  /** @param largest - how large a record may be, in bytes */
  constructor(private readonly largest: number) {}

  /** So many of these keys should be read with one command. */
  keysAtOnce(keys: readonly string[]): number {
    return Math.max(1, Math.floor(REPLY / this.largestOf(keys, UNSEEN)));
  }

  /** So many bytes a reply with the records of these keys may have. Until one was seen, any size has to be expected. */
  replySize(keys: readonly string[]): number {
    return keys.length * this.largestOf(keys, this.largest);
  }

  /** A record under this key has so many bytes, or 0 if there is none. */
  see(key: string, size: number): void {
    const namespace = namespaceOf(key);
    const known = this.sizes.get(namespace) ?? 0;
    if (size > known || known > SMALL || known === 0) this.sizes.set(namespace, Math.max(size, known * FADING, 1));
  }

  /** A reply did not come: perhaps it was too large. */
  forget(keys: readonly string[]): void {
    for (const key of keys) this.sizes.set(namespaceOf(key), Math.max(REPLY, this.sizes.get(namespaceOf(key)) ?? 0));
  }

  private largestOf(keys: readonly string[], unseen: number): number {
    let largest = 1;
    let last: string | undefined;
    for (const key of keys) {
      const namespace = namespaceOf(key);
      if (namespace === last) continue; // as most are
      last = namespace;
      largest = Math.max(largest, this.sizes.get(namespace) ?? unseen);
    }
    return largest;
  }
}

export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf(':') + 1);
}
