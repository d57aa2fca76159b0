import { Packr } from 'msgpackr';
import { CacheCorruptError } from '../redis-cache.errors.js';
import { unpackBounded } from './message-pack-bounds.js';

/**
 * What a record knows of itself beside its value. Absent fields are not stored; with none, there is no header.
 */
export interface RecordHeader {
  /** In ms since the epoch, by the clock of the process that created it; kept by `replace` and `update`. */
  readonly createdAt?: number | undefined;
  /** The ttl in ms that a sliding read gives it again; `null`: it never expires. */
  readonly ttl?: number | null | undefined;
  /** Those it was last written with. */
  readonly tags?: readonly string[] | undefined;
}

/** The parts of a record's bytes. */
export interface RecordParts {
  readonly header: RecordHeader;
  readonly payload: Buffer;
  /** Everything before the payload. */
  readonly head: Buffer;
  readonly sealed: boolean;
}

/**
 * The layout, which only this file knows:
 *
 * | bytes  |                                                                                                          |
 * | ------ | -------------------------------------------------------------------------------------------------------- |
 * | 0      | `0xC1`: never the first byte of MessagePack, JSON or UTF-8 text, so foreign bytes are recognized          |
 * | 1      | version (high four bits) and flags                                                                       |
 * | 2 …    | if `HEADER`: a MessagePack `bin 16` around the MessagePack array `[createdAt, ttl, tags]` (nil: absent)   |
 * | … end  | the payload: what the serializer made of the value; if `SEALED`, encrypted                                |
 */
const MARK = 0xc1;
const VERSION = 0x10;
const HEADER = 0x01;
const SEALED = 0x02;
const FLAGS = HEADER | SEALED;
const BIN_16 = 0xc5;

/** The heads of records that know nothing of themselves, which most are. */
const BARE_HEAD = Buffer.from([MARK, VERSION]);
const BARE_SEALED_HEAD = Buffer.from([MARK, VERSION | SEALED]);

const headerPackr = new Packr({ useRecords: false });

/** The bytes before the payload. */
export function encodeHead(header: RecordHeader, sealed: boolean): Buffer {
  const { createdAt, ttl, tags } = header;
  const bare = sealed ? BARE_SEALED_HEAD : BARE_HEAD;
  if (createdAt === undefined && ttl === undefined && !tags?.length) return bare;
  const fields = headerPackr.pack([createdAt ?? null, ttl === null ? 0 : (ttl ?? null), tags ?? []]);
  const prefix = Buffer.from([MARK, (bare[1] ?? 0) | HEADER, BIN_16, fields.length >> 8, fields.length & 0xff]);
  return Buffer.concat([prefix, fields]);
}

export function encodeRecord(head: Buffer, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

/** @throws CacheCorruptError unless the bytes are a record, whole up to its payload */
export function decodeRecord(bytes: Buffer): RecordParts {
  const flags = bytes[1] ?? 0;
  if (bytes[0] !== MARK || (flags & ~FLAGS) !== VERSION) {
    throw new CacheCorruptError('the bytes under the key are no record of this package (or of a later version of it)');
  }
  const sealed = (flags & SEALED) !== 0;
  if ((flags & HEADER) === 0) {
    return { header: {}, head: sealed ? BARE_SEALED_HEAD : BARE_HEAD, payload: bytes.subarray(2), sealed };
  }
  const end = 5 + (bytes.length < 5 ? 0 : bytes.readUInt16BE(3));
  if (bytes[2] !== BIN_16 || bytes.length < end) throw new CacheCorruptError('the header of the record is truncated');
  const header = decodeHeader(bytes.subarray(5, end));
  return { header, head: bytes.subarray(0, end), payload: bytes.subarray(end), sealed };
}

function decodeHeader(bytes: Buffer): RecordHeader {
  try {
    const fields = unpackBounded(headerPackr, bytes);
    if (Array.isArray(fields)) {
      const [createdAt, ttl, tags] = fields as unknown[];
      if (isMoment(createdAt) && isMoment(ttl) && Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')) {
        return {
          createdAt: createdAt ?? undefined,
          ttl: ttl === 0 ? null : (ttl ?? undefined),
          tags,
        };
      }
    }
  } catch {
    // falls through: not MessagePack
  }
  throw new CacheCorruptError('the header of the record is damaged');
}

function isMoment(field: unknown): field is number | null {
  return field === null || (typeof field === 'number' && Number.isSafeInteger(field) && field >= 0);
}
