import type { CodecSettings } from '../record/codec.js';
import type { CacheConnectionSource } from '../redis-cache.diagnostics.js';
import type { KeyRing } from '../record/key-ring.js';

/** A store's options after validation, with those of `forRoot` that concern every store. */
export interface StoreSettings extends CodecSettings {
  readonly ttl: number | null;
  readonly maxAge?: number | undefined;
  readonly sliding: boolean;
  readonly nearCache?:
    | {
        readonly maxEntries: number;
        /** Of this store alone; absent: it shares what all stores of the process may have. */
        readonly maxBytes?: number | undefined;
        readonly lease: number;
      }
    | undefined;
  readonly keyRing?: KeyRing | undefined;
  readonly hashKeys: boolean;
  /** Where its records are, for observers. */
  readonly source: CacheConnectionSource;
  /** The whole of one call, in ms. */
  readonly timeout: number;
}
