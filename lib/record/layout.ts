import { CacheCorruptError } from '../redis-cache.errors.js';

/** What a record knows of itself beside its value. */
export interface RecordHeader {
  /** In ms since the epoch, by Redis' clock; kept by whatever rewrites the record. */
  readonly createdAt: number;
  /** The record's own ttl in ms, as the writing call gave it; `null`: it never expires. */
  readonly ttl: number | null;
  /** Written with `expiresAt`: neither a sliding read nor a bare touch moves its end. */
  readonly fixedEnd?: boolean | undefined;
  /**
   * Moved to another key and readable for a grace only, or not yet moved for good: it can neither be extended nor moved, and ends
   * `ttl` after its creation.
   */
  readonly movedAway?: boolean | undefined;
  /** The ids of the tags it was last written with. */
  readonly tags: readonly string[];
  /**
   * Ties a tagged record to its index entries: 11 letters of base64url (8 bytes, which `store/tag-index.ts` explains). It is
   * stored if, and only if, there are tags.
   */
  readonly incarnation?: string | undefined;
}

/** The parts of a record's bytes. */
export interface RecordParts {
  readonly header: RecordHeader;
  readonly payload: Buffer;
  readonly sealed: boolean;
}

/**
 * The layout, which only this file knows (numbers are big-endian):
 *
 * | bytes          |                                                                                                   |
 * | -------------- | ------------------------------------------------------------------------------------------------- |
 * | 1              | `0xC1`: never the first byte of MessagePack, JSON or UTF-8 text, so foreign bytes are recognized   |
 * | 1              | the version (high four bits) and flags (low four bits)                                            |
 * | 6              | `createdAt`                                                                                       |
 * | 6              | `ttl`; 0: never expires                                                                           |
 * | 8              | if `TAGGED`: the incarnation                                                                      |
 * | 2              | if `TAGGED`: the number of bytes of the tags that follow                                          |
 * | 2 + n each     | if `TAGGED`: for each tag the number of its bytes, then its UTF-8 text                            |
 * | the rest       | the payload: the output of the serializer; if `SEALED`, encrypted                                 |
 *
 * A record of another version is refused, never guessed.
 */
const MARK = 0xc1;
const VERSION = 0x20;
const SEALED = 0x01;
const FIXED_END = 0x02;
const MOVED_AWAY = 0x04;
const TAGGED = 0x08;

const TTL_AT = 8;
/** Where the payload of an untagged record begins. */
const FIXED_BYTES = 14;
const INCARNATION_BYTES = 8;
const TAGS_LENGTH_AT = FIXED_BYTES + INCARNATION_BYTES;
const TAGS_AT = TAGS_LENGTH_AT + 2;

/** So many bytes of a record (or all it has) tell how long its head is, see {@link headLength}. */
export const HEAD_PREFIX_BYTES = TAGS_AT;
/** No head is longer: 64 tags of 512 bytes (see key naming). A read of so many bytes has the whole head. */
export const MOST_HEAD_BYTES = TAGS_AT + 64 * (2 + 512);

const NO_TAGS: readonly string[] = [];

const NOT_A_RECORD = 'the bytes under the key are no record of this version of the package';
const TRUNCATED = 'the header of the record is truncated';
const DAMAGED = 'the header of the record is damaged';

/** Whether bytes begin as those of a record do, of whatever version. */
export function isRecord(bytes: Buffer): boolean {
  return bytes[0] === MARK;
}

/** The head of a record; of what another program wrote, which has none, all its bytes. */
export function headOf(bytes: Buffer): Buffer {
  return isRecord(bytes) ? bytes.subarray(0, headLength(bytes)) : bytes;
}

/** Whether bytes begin as those of a record do that is not encrypted. */
export function isPlainRecord(bytes: Buffer): boolean {
  return bytes[0] === MARK && ((bytes[1] ?? 0) & (0xf0 | SEALED)) === VERSION;
}

/** The same in Lua: a function of the bytes. */
export const IS_PLAIN_RECORD = `
local function is_plain_record(bytes)
  local mark, flags = bytes:byte(1, 2)
  return mark == ${MARK} and flags and math.floor(flags / 16) == ${VERSION / 16} and flags % ${2 * SEALED} < ${SEALED}
end
`;

/** The head of a record that has tags; `undefined` of any other bytes. */
export function taggedHead(bytes: Buffer): Buffer | undefined {
  if (bytes.length < TAGS_AT || bytes[0] !== MARK || ((bytes[1] ?? 0) & (0xf0 | TAGGED)) !== (VERSION | TAGGED)) {
    return undefined;
  }
  return bytes.subarray(0, headLength(bytes));
}

/**
 * The same in Lua, for scripts that delete records: a function that gives the head of the record under a key, or false, and the
 * first bytes of whatever is there: '' if nothing, and also if Redis refuses to give them, with the reason as a third value.
 */
export const TAGGED_HEAD = `
local function tagged_head(key)
  local start = redis.pcall('GETRANGE', key, 0, ${TAGS_AT - 1})
  if type(start) ~= 'string' then return false, '', start.err end
  local mark, flags = start:byte(1, 2)
  if #start < ${TAGS_AT} or mark ~= ${MARK} or math.floor(flags / 16) ~= ${VERSION / 16} or flags % 16 < ${TAGGED} then
    return false, start
  end
  local tags = start:byte(${TAGS_LENGTH_AT + 1}) * 256 + start:byte(${TAGS_LENGTH_AT + 2})
  return redis.call('GETRANGE', key, 0, ${TAGS_AT} + tags - 1), start
end
`;

/** The bytes before the payload. */
export function encodeHead(header: RecordHeader, sealed: boolean): Buffer {
  const { createdAt, ttl, tags, incarnation = '' } = header;
  const texts = tags.map((tag) => Buffer.from(tag));
  const tagBytes = texts.reduce((sum, { length }) => sum + 2 + length, 0);
  const isTagged = tags.length > 0;
  const head = Buffer.allocUnsafe(isTagged ? TAGS_AT + tagBytes : FIXED_BYTES);
  head[0] = MARK;
  head[1] =
    VERSION |
    (sealed ? SEALED : 0) |
    (header.fixedEnd ? FIXED_END : 0) |
    (header.movedAway ? MOVED_AWAY : 0) |
    (isTagged ? TAGGED : 0);
  head.writeUIntBE(createdAt, 2, 6);
  head.writeUIntBE(ttl ?? 0, TTL_AT, 6);
  if (!isTagged) return head;
  if (head.write(incarnation, FIXED_BYTES, 'base64url') !== INCARNATION_BYTES) {
    throw new RangeError('a tagged record needs an incarnation');
  }
  let at = head.writeUInt16BE(tagBytes, TAGS_LENGTH_AT);
  for (const text of texts) {
    at = head.writeUInt16BE(text.length, at);
    head.set(text, at);
    at += text.length;
  }
  return head;
}

export function encodeRecord(head: Buffer, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

/**
 * How many bytes the head of a record has, from its first {@link HEAD_PREFIX_BYTES} bytes (or all it has).
 *
 * @throws CacheCorruptError if they are not the beginning of a record
 */
export function headLength(bytes: Buffer): number {
  const flags = bytes[1] ?? 0;
  if (bytes[0] !== MARK || (flags & 0xf0) !== VERSION) throw new CacheCorruptError(NOT_A_RECORD);
  if (bytes.length < FIXED_BYTES) throw new CacheCorruptError(TRUNCATED);
  if ((flags & TAGGED) === 0) return FIXED_BYTES;
  if (bytes.length < TAGS_AT) throw new CacheCorruptError(TRUNCATED);
  return TAGS_AT + bytes.readUInt16BE(TAGS_LENGTH_AT);
}

/**
 * The header, of bytes that hold at least the whole head. Nothing proves it: in an encrypted store, opening the record does.
 *
 * @throws CacheCorruptError
 */
export function decodeHeader(bytes: Buffer): RecordHeader {
  return readHeader(bytes, headLength(bytes));
}

/** @throws CacheCorruptError unless the bytes are a record, whole up to its payload */
export function decodeRecord(bytes: Buffer): RecordParts {
  const end = headLength(bytes);
  const header = readHeader(bytes, end);
  return {
    header,
    payload: bytes.subarray(end),
    sealed: ((bytes[1] ?? 0) & SEALED) !== 0,
  };
}

function readHeader(bytes: Buffer, end: number): RecordHeader {
  if (bytes.length < end) throw new CacheCorruptError(TRUNCATED);
  const flags = bytes[1] ?? 0;
  const header = {
    createdAt: bytes.readUIntBE(2, 6),
    ttl: bytes.readUIntBE(TTL_AT, 6) || null,
    fixedEnd: (flags & FIXED_END) !== 0,
    movedAway: (flags & MOVED_AWAY) !== 0,
    tags: NO_TAGS,
  };
  if ((flags & TAGGED) === 0) return header;
  const incarnation = bytes.toString('base64url', FIXED_BYTES, TAGS_LENGTH_AT);
  return { ...header, tags: readTags(bytes, end), incarnation };
}

function readTags(bytes: Buffer, end: number): readonly string[] {
  const tags: string[] = [];
  for (let at = TAGS_AT; at < end;) {
    const textAt = at + 2;
    if (textAt > end) throw new CacheCorruptError(DAMAGED);
    at = textAt + bytes.readUInt16BE(at);
    if (at > end) throw new CacheCorruptError(DAMAGED);
    tags.push(bytes.toString('utf8', textAt, at));
  }
  if (tags.length === 0) throw new CacheCorruptError(DAMAGED);
  return tags;
}
