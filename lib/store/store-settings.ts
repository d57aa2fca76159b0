import type { CodecSettings } from '../record/codec.js';
import type { KeyRing } from '../record/key-ring.js';

/** A store's options after validation, with those of `forRoot` that concern every store. */
export interface StoreSettings extends CodecSettings {
  readonly ttl: number | null;
  readonly maxAge?: number | undefined;
  readonly sliding: boolean;
  readonly nearCache?: { readonly maxEntries: number; readonly lease: number } | undefined;
  readonly keyRing?: KeyRing | undefined;
  readonly hashKeys: boolean;
  /** The whole of one call, in ms. */
  readonly timeout: number;
}
