import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Serializer } from '../redis-cache.options.js';
import type { KeyRing } from './encryption.js';

/** A store's options after validation, with those of `forRoot` that concern every store. */
export interface StoreSettings {
  readonly namespace: string;
  readonly ttl: number | null;
  readonly maxAge?: number | undefined;
  readonly sliding: boolean;
  readonly onCorrupt: 'throw' | 'miss';
  readonly schema?: StandardSchemaV1 | undefined;
  readonly serializer: Serializer;
  readonly maxBytes: number;
  readonly nearCache?: { readonly maxEntries: number; readonly lease: number } | undefined;
  readonly keyRing?: KeyRing | undefined;
  readonly hashKeys: boolean;
  /** The whole of one call, in ms. */
  readonly timeout: number;
  /** Tells the operator of something, without key or value. */
  readonly warn: (message: string) => void;
}
