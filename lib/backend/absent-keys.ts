import { namespaceOf } from '../connection/invalidation-feed.js';

/**
 * Which keys are likely to be absent: those of a namespace whose last read found nothing, as with a deny-list. Whether they are
 * there is asked for together with them, which saves a second round trip: without, a `get` of an absent key takes 1.49 times as
 * long on loopback where nothing else is asked for (bench/micro.mjs), and twice as long where round trips are what takes the time.
 */
export class AbsentKeys {
  private readonly namespaces = new Set<string>();

  /** Those of the keys that are likely to be absent. */
  among(keys: readonly string[]): readonly string[] {
    if (this.namespaces.size === 0) return [];
    return keys.filter((key) => this.namespaces.has(namespaceOf(key)));
  }

  /** What a read of a key found. */
  learn(key: string, isAbsent: boolean): void {
    if (isAbsent) this.namespaces.add(namespaceOf(key));
    else if (this.namespaces.size > 0) this.namespaces.delete(namespaceOf(key));
  }
}
