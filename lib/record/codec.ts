import { types } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { CacheArgumentError, CacheCorruptError, RedisCacheError } from '../redis-cache.errors.js';
import type { Serializer } from '../redis-cache.options.js';
import { now } from '../redis-cache.timers.js';
import { UnknownKeyError } from './cipher.js';
import type { RecordCipher } from './cipher.js';
import { jsonSerializer } from './json-serializer.js';
import { decodeRecord, encodeHead, encodeRecord, headOf, isRecord } from './layout.js';
import type { RecordHeader, RecordParts } from './layout.js';
import { messagePackSerializer } from './message-pack/serializer.js';

/** The options of a store that its records depend on. */
export interface CodecSettings {
  readonly namespace: string;
  readonly onCorrupt: 'throw' | 'miss';
  readonly schema?: StandardSchemaV1 | undefined;
  readonly serializer: Serializer;
  readonly maxBytes: number;
  /** How long new encryption keys may be waited for, in ms. */
  readonly timeout: number;
  /** Tells the operator of something, without key or value. */
  readonly warn: (message: string) => void;
  /** Reads what another program left under the keys of records; absent: that is corrupt. */
  readonly foreign?: ForeignReader | undefined;
}

/** Makes records of bytes that do not begin as those of this package do. */
export interface ForeignReader {
  /** The value in the bytes; `undefined`: they are no record of that program either. It may throw, which says the same. */
  value(bytes: Buffer): unknown;
  /** What a record that says nothing of itself is taken to say. */
  header(): RecordHeader;
}

/** Where records lie. */
export interface RecordPlaces {
  /** Whether a key can be told from its id. */
  readonly isReadable: boolean;
  /** The Redis key of a record, from its id. */
  recordKey(id: string): string;
}

/** Of corrupt records that count as absent, the operator is told no more often than this, in ms: each read would be a line. */
const WARNING_PAUSE = 60_000;

/** A record that was read, and what it says. */
export interface Decoded {
  readonly id: string;
  readonly key: string;
  readonly value: unknown;
  readonly header: RecordHeader;
  readonly bytes: Buffer;
}

/** Between the values callers see and the bytes of records: schema, serializer, encryption, size limit. */
export class RecordCodec {
  /** Whether reading makes every part of a value. A schema, or a serializer of the application, may give out parts that belong to it. */
  readonly makesValues: boolean;
  private warnedAt = -Infinity;

  constructor(
    private readonly settings: CodecSettings,
    private readonly places: RecordPlaces,
    private readonly cipher: RecordCipher | undefined,
  ) {
    const { schema, serializer } = settings;
    this.makesValues = !schema && (serializer === messagePackSerializer || serializer === jsonSerializer);
  }

  /** Whether nothing is read but unencrypted records of this package. */
  get readsPlainOnly(): boolean {
    return !this.cipher && !this.settings.foreign;
  }

  /** The same, which also reads the records of another program. */
  reading(foreign: ForeignReader): RecordCodec {
    return new RecordCodec({ ...this.settings, foreign }, this.places, this.cipher);
  }

  /** The bytes of a record: at once, unless a schema must be waited for. @throws CacheArgumentError if the value cannot be stored */
  encode(key: string, id: string, value: unknown, header: RecordHeader): Buffer | Promise<Buffer> {
    if (value === undefined || typeof value === 'function') {
      throw new CacheArgumentError(`value: ${typeof value} cannot be stored (null can)`);
    }
    const { schema } = this.settings;
    // At once, so that what is checked is what is stored, whatever the caller does with the value meanwhile.
    const payload = this.serialize(value);
    const bytes = this.write(key, id, payload, header);
    return schema ? this.check(schema, Buffer.from(payload)).then(() => bytes) : bytes;
  }

  /** The schema judges the value that a read will give it: a serializer may lose what the schema asks for. */
  private async check(schema: StandardSchemaV1, payload: Buffer): Promise<void> {
    let value: unknown;
    try {
      value = this.settings.serializer.deserialize(payload);
    } catch {
      throw new CacheArgumentError('value: the serializer of the store cannot read what it wrote');
    }
    const result = await schema['~standard'].validate(value);
    const { issues } = result;
    if (!issues && result.value !== undefined) return;
    if (!issues) throw new CacheArgumentError('value: the schema makes it undefined, as if it were absent');
    const message = `value: refused by the schema: ${issuePlaces(issues)}`;
    throw new CacheArgumentError(message, { issues: Array.from(issues, withoutValue) });
  }

  /** The bytes of a record with the same value under another header. */
  async restamp(key: string, id: string, bytes: Buffer, header: RecordHeader): Promise<Buffer> {
    return this.transfer(id, bytes, key, id, header);
  }

  /** The bytes of a record with the same value, under another key and header. */
  async transfer(from: string, bytes: Buffer, key: string, id: string, header: RecordHeader): Promise<Buffer> {
    const parts = this.parts(bytes);
    const { payload } = this.split(from, parts, await this.unseal(from, bytes, parts));
    return this.write(key, id, payload, header);
  }

  private write(key: string, id: string, payload: Uint8Array, header: RecordHeader): Buffer {
    const { maxBytes } = this.settings;
    const head = encodeHead(header, this.cipher !== undefined);
    const record = this.cipher ? this.seal(this.cipher, key, id, head, payload) : encodeRecord(head, payload);
    if (record.length <= maxBytes) return record;
    throw new CacheArgumentError(`value: takes ${record.length} bytes, more than "maxBytes" (${maxBytes}) allows`);
  }

  /**
   * At once unless a schema or new keys must be waited for: else the reads of 64 callers take 1.1 times as long (bench/micro.mjs).
   *
   * @param until - how long keys are waited for, a moment of `now()`; absent: `timeout` from now on
   * @throws CacheCorruptError; gives `undefined` instead in a store with `onCorrupt: 'miss'`
   */
  decode(
    id: string,
    bytes: Buffer,
    until?: number,
    onCorrupt = this.settings.onCorrupt,
  ): Decoded | undefined | Promise<Decoded | undefined> {
    try {
      const decoded = this.read(id, bytes, until);
      if (!(decoded instanceof Promise) && !this.settings.schema) return decoded;
      return this.validate(decoded).catch((error: unknown) => this.corrupt(error, onCorrupt));
    } catch (error) {
      return this.corrupt(error, onCorrupt);
    }
  }

  /** What a record knows of itself, without its value; throws as `decode` does. */
  async header(id: string, bytes: Buffer, until: number): Promise<RecordHeader | undefined> {
    try {
      const parts = this.parts(bytes);
      await this.unseal(id, bytes, parts, until); // which proves the header, too
      return parts.header;
    } catch (error) {
      return this.corrupt(error);
    }
  }

  /** The key of a record, whose value is not looked at. @throws CacheCorruptError */
  async key(id: string, bytes: Buffer, until: number): Promise<string> {
    const parts = this.parts(bytes);
    return this.split(id, parts, await this.unseal(id, bytes, parts, until)).key;
  }

  /** What the store does about a record that it cannot read: throws, or tells the operator and takes it for absent. */
  corrupt(error: unknown, onCorrupt = this.settings.onCorrupt): undefined {
    if (!(error instanceof CacheCorruptError) || onCorrupt === 'throw') throw error;
    const at = now();
    if (at - this.warnedAt >= WARNING_PAUSE) {
      this.warnedAt = at;
      this.settings.warn(`a record of "${this.settings.namespace}" counts as absent: ${error.message}`);
    }
    return undefined;
  }

  private parts(bytes: Buffer): RecordParts {
    const { maxBytes } = this.settings;
    if (bytes.length > maxBytes) throw new CacheCorruptError(`the record is larger than "maxBytes" (${maxBytes})`);
    const parts = (isRecord(bytes) ? undefined : this.foreign(bytes)) ?? decodeRecord(bytes);
    const { sealed } = parts;
    if (sealed && !this.cipher) throw new CacheCorruptError('the record is encrypted, and the store has no keys');
    if (!sealed && this.cipher && !this.cipher.acceptsPlain) throw new CacheCorruptError('the record is not encrypted');
    return parts;
  }

  private foreign(bytes: Buffer): RecordParts | undefined {
    const { foreign } = this.settings;
    let value: unknown;
    try {
      value = foreign?.value(bytes);
    } catch {
      return undefined;
    }
    if (!foreign || value === undefined) return undefined;
    const header = foreign.header();
    return { header, payload: Buffer.from(this.serialize(value)), sealed: false };
  }

  private async validate(reading: Decoded | Promise<Decoded>): Promise<Decoded> {
    const decoded = await reading;
    const result = await this.settings.schema?.['~standard'].validate(decoded.value);
    if (!result) return decoded;
    if (!result.issues && result.value !== undefined) return { ...decoded, value: result.value };
    if (!result.issues)
      throw new CacheCorruptError('the schema of the store makes the record undefined, as if it were absent');
    throw new CacheCorruptError(`the record does not match the schema of the store: ${issuePlaces(result.issues)}`);
  }

  private read(id: string, bytes: Buffer, until: number | undefined): Decoded | Promise<Decoded> {
    const parts = this.parts(bytes);
    const plain = this.unseal(id, bytes, parts, until);
    if (plain instanceof Promise) return plain.then((opened) => this.deserialize(id, bytes, parts, opened));
    return this.deserialize(id, bytes, parts, plain);
  }

  private deserialize(id: string, bytes: Buffer, parts: RecordParts, plain: Buffer): Decoded {
    const { key, payload } = this.split(id, parts, plain);
    let value: unknown;
    try {
      value = this.settings.serializer.deserialize(payload);
    } catch {
      // What the serializer says may quote the bytes.
      throw new CacheCorruptError('the serializer of the store cannot read the record');
    }
    // Nobody could tell it from an absent record.
    if (value === undefined) throw new CacheCorruptError('the record has no value');
    return { id, key, value, header: parts.header, bytes };
  }

  /** What is encrypted begins with the key where it cannot be told from the id: its length (2 bytes), then its text. */
  private seal(cipher: RecordCipher, key: string, id: string, head: Buffer, payload: Uint8Array): Buffer {
    const nameLength = this.places.isReadable ? 0 : Buffer.byteLength(key);
    const plain = Buffer.allocUnsafe(2 + nameLength + payload.length);
    plain.writeUInt16BE(nameLength);
    if (nameLength > 0) plain.write(key, 2);
    plain.set(payload, 2 + nameLength);
    return cipher.seal(head, plain, this.places.recordKey(id));
  }

  /** What `seal` put together. */
  private split(id: string, { sealed }: RecordParts, plain: Buffer): { key: string; payload: Buffer } {
    if (!sealed) return { key: id, payload: plain };
    const nameEnd = 2 + plain.readUInt16BE();
    const key = this.places.isReadable ? id : plain.toString('utf8', 2, nameEnd);
    return { key, payload: plain.subarray(nameEnd) };
  }

  /** The payload as it was before sealing; keys are asked for again if the record was sealed with an unknown one. */
  private unseal(
    id: string,
    bytes: Buffer,
    { payload, sealed }: RecordParts,
    until?: number,
  ): Buffer | Promise<Buffer> {
    const { cipher } = this;
    if (!cipher || !sealed) return payload;
    const [head, place] = [headOf(bytes), this.places.recordKey(id)];
    try {
      return cipher.open(head, payload, place);
    } catch (error) {
      if (!(error instanceof UnknownKeyError)) throw error;
      const patience = until === undefined ? this.settings.timeout : Math.max(0, until - now());
      return cipher.reopen(head, payload, place, patience);
    }
  }

  private serialize(value: unknown): Uint8Array {
    let bytes: unknown;
    try {
      bytes = this.settings.serializer.serialize(value);
    } catch (error) {
      if (error instanceof RedisCacheError) throw error;
      // What a serializer says may quote the value, so only the kind of its error is told.
      const kind = error instanceof Error ? error.name : typeof error;
      throw new CacheArgumentError(`value: the serializer of the store cannot write it (${kind})`);
    }
    if (types.isUint8Array(bytes)) return bytes;
    throw new CacheArgumentError('value: the serializer of the store does not give a Uint8Array (a Buffer is one)');
  }
}

/** What the standard says of an issue; libraries put more there, such as the value. */
function withoutValue({ message, path }: StandardSchemaV1.Issue): StandardSchemaV1.Issue {
  return path ? { message, path } : { message };
}

/** Where a value fails, without what stands there: a schema's messages may quote it. */
function issuePlaces(issues: readonly StandardSchemaV1.Issue[]): string {
  const paths = issues.map(({ path }) =>
    path?.map((part) => shown(typeof part === 'object' ? part.key : part)).join('.'),
  );
  return [...new Set(paths.map((path) => (path ? `at "${path}"` : 'as a whole')))].slice(0, 5).join(', ');
}

/** The names of properties may be data, too, such as the e-mail addresses of a map: what a programmer would not write is not shown. */
function shown(name: PropertyKey): string {
  return /^(\d{1,5}|[A-Za-z_$]{1,32}\d{0,2})$/.test(String(name)) ? String(name) : '…';
}
