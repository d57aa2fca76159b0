import type { StandardSchemaV1 } from '@standard-schema/spec';
import { CacheArgumentError, CacheCorruptError, RedisCacheError } from '../redis-cache.errors.js';
import type { StoreSettings } from '../redis-cache.options.js';
import { decodeRecord, encodeHead, encodeRecord } from './record.js';
import type { RecordHeader } from './record.js';

/** A value read from a record. */
export interface Decoded {
  readonly value: unknown;
}

/** Between the values callers see and the bytes of records: schema, serializer, size limit. */
export class RecordCodec {
  constructor(private readonly settings: StoreSettings) {}

  /** @throws CacheArgumentError if the value cannot be stored */
  async encode(value: unknown, header: RecordHeader): Promise<Buffer> {
    if (value === undefined || typeof value === 'function') {
      throw new CacheArgumentError(`value: ${typeof value} cannot be stored (null can)`);
    }
    const { schema, maxBytes } = this.settings;
    if (schema) {
      const { issues } = await schema['~standard'].validate(value);
      if (issues)
        throw new CacheArgumentError(`value: refused by the schema: ${paths(issues)}`, {
          issues: publicIssues(issues),
        });
    }
    const bytes = encodeRecord(encodeHead(header, false), this.serialize(value));
    if (bytes.length <= maxBytes) return bytes;
    throw new CacheArgumentError(`value: takes ${bytes.length} bytes, more than "maxBytes" (${maxBytes}) allows`);
  }

  /**
   * The value; `undefined` only for a bad record in a store with `onCorrupt: 'miss'`.
   *
   * @throws CacheCorruptError
   */
  decode(bytes: Buffer): Decoded | undefined | Promise<Decoded | undefined> {
    const { schema } = this.settings;
    try {
      const value = this.open(bytes);
      if (!schema) return { value };
      return this.validate(schema, value).catch((error: unknown) => this.corrupt(error));
    } catch (error) {
      return this.corrupt(error);
    }
  }

  /** What a record knows of itself; `undefined` only for a bad record in a store with `onCorrupt: 'miss'`. */
  header(bytes: Buffer): RecordHeader | undefined {
    try {
      return decodeRecord(bytes).header;
    } catch (error) {
      return this.corrupt(error);
    }
  }

  private async validate(schema: StandardSchemaV1, value: unknown): Promise<Decoded> {
    const result = await schema['~standard'].validate(value);
    if (!result.issues) return { value: result.value };
    throw new CacheCorruptError(`the record does not match the schema of the store: ${paths(result.issues)}`);
  }

  private corrupt(error: unknown): undefined {
    if (!(error instanceof CacheCorruptError) || this.settings.onCorrupt === 'throw') throw error;
    this.settings.warn(`a record of "${this.settings.namespace}" counts as absent: ${error.message}`);
    return undefined;
  }

  private open(bytes: Buffer): unknown {
    const { payload, sealed } = decodeRecord(bytes);
    if (sealed) throw new CacheCorruptError('the record is encrypted, and the store has no keys');
    try {
      return this.settings.serializer.deserialize(payload);
    } catch {
      // What the serializer says may quote the bytes.
      throw new CacheCorruptError('the serializer of the store cannot read the record');
    }
  }

  private serialize(value: unknown): Uint8Array {
    try {
      return this.settings.serializer.serialize(value);
    } catch (error) {
      if (error instanceof RedisCacheError) throw error;
      // What a serializer says may quote the value, so only the kind of its error is told.
      const kind = error instanceof Error ? error.name : typeof error;
      throw new CacheArgumentError(`value: the serializer of the store cannot write it (${kind})`);
    }
  }
}

/** Where the value fails, without what stands there: a schema's messages may quote it. */
function paths(issues: readonly StandardSchemaV1.Issue[]): string {
  const places = issues.map(({ path }) =>
    path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
  );
  return [...new Set(places.map((place) => (place ? `at "${place}"` : 'as a whole')))].slice(0, 5).join(', ');
}

function publicIssues(issues: readonly StandardSchemaV1.Issue[]): readonly { message: string }[] {
  return issues.map(({ message, path }) => ({ message, ...(path && { path }) }));
}
