import { addExtension, Packr } from 'msgpackr';
import { CacheArgumentError } from '../../redis-cache.errors.js';
import type { Serializer } from '../../redis-cache.options.js';
import { assertBounded, OWN_PROTO, unpackBounded } from './bounds.js';

class StrictPackr extends Packr {
  /** How many Maps it has come across. */
  maps = 0;

  /** msgpackr calls this for functions inside a value; without it they would come back as `undefined`. */
  writeFunction(): never {
    throw unstorable('a function');
  }

  /** An option that msgpackr looks at for each Map inside a value. */
  get mapAsEmptyObject(): boolean {
    this.maps++;
    return false;
  }
}

/** An object with an own property named `__proto__` (JSON.parse makes such), which msgpackr would rename. */
class OwnProtoObject {
  readonly entries: [string, unknown][] = [];
  /** All its entries are known. */
  isComplete = false;
}

// The registry of extensions is msgpackr's own and global.
addExtension({
  Class: OwnProtoObject,
  type: OWN_PROTO,
  write: (object: OwnProtoObject) => object.entries,
  read: (entries: [unknown, unknown][]) => {
    // Making a text of a foreign key may take for ever, if it is an array with pointers in it.
    if (entries.some(([key]) => typeof key !== 'string')) throw new TypeError('a property name must be a string');
    return Object.fromEntries(entries as [string, unknown][]);
  },
});

addExtension({
  Class: Promise,
  write(this: unknown, promise: Promise<unknown>) {
    if (this instanceof StrictPackr) throw unstorable('a promise (is an await missing?)');
    return promise; // somebody else's msgpackr in this process goes on as before
  },
});

/**
 * So many shapes of objects a value may have beside Maps and cycles (see `assertExtension`). With more, msgpackr uses
 * numbers again, and what it writes then is refused on reading.
 */
const MOST_SHAPES = 4000;
const options = { structuredClone: true, copyBuffers: true, useBigIntExtension: true } as const;
/** Writes objects as MessagePack maps: twice as fast, and what other languages expect. Nearly all values are fit for it. */
const mapPackr = new StrictPackr({ ...options, useRecords: false, variableMapSize: true });
/** Writes objects as an extension of msgpackr, which keeps what maps would lose: that a Map is a Map, and cycles. */
const recordPackr = new StrictPackr({ ...options, useRecords: true, maxOwnStructures: MOST_SHAPES });
mapPackr.pack(new Map());
/** Should a later msgpackr not look at that option any more, all values are written as records: no Map comes back as an object. */
const tellsOfMaps = mapPackr.maps > 0;
/** Stands before what `recordPackr` wrote (an extension of no type that it uses). */
const RECORDS = Buffer.from([0xd4, 0x4d, 0]);
/** How an object that stands in several places is marked. */
const IDENTITY = Buffer.from([0xd6, 0x69]);

/**
 * The default serializer: MessagePack, with the types of the structured clone algorithm. Date, Map, Set, BigInt, Buffer,
 * typed arrays, RegExp, Error, NaN, Infinity, `undefined` inside objects and cycles come back as they went in. Instances of
 * other classes come back as plain objects (what their `toJSON` gives, if they have one), -0 as 0, lone
 * surrogates as replacement characters (U+FFFD).
 *
 * Bytes that claim more elements than they have room for are refused before anything is allocated.
 *
 * @example
 * ```ts
 * RedisCacheModule.forRoot({ serializer: messagePackSerializer }); // the default
 * ```
 */
export const messagePackSerializer: Serializer = {
  serialize(value) {
    const mapsBefore = mapPackr.maps;
    const bytes = pack(mapPackr, value);
    const hasMap = mapPackr.maps > mapsBefore || !tellsOfMaps;
    if (!hasMap && !mayBeUnfit(bytes)) return bytes;
    const hasProto = bytes.includes('__proto__');
    const storable = hasProto ? keepOwnProto(value, new Map()) : value;
    if (hasMap || bytes.includes(IDENTITY)) return Buffer.concat([RECORDS, packRecords(storable)]);
    return hasProto ? pack(mapPackr, storable) : bytes;
  },
  deserialize(bytes) {
    const hasRecords = RECORDS.every((byte, i) => bytes[i] === byte);
    return hasRecords ? unpackBounded(recordPackr, bytes.subarray(RECORDS.length)) : unpackBounded(mapPackr, bytes);
  },
};

/**
 * JSON, for records that other programs read too. It keeps what JSON keeps: a Date comes back as a string, a Map as `{}`.
 *
 * @example
 * ```ts
 * RedisCacheModule.forFeature({ namespace: 'deny-list', serializer: jsonSerializer });
 * ```
 */
export const jsonSerializer: Serializer = {
  serialize(value) {
    const text = JSON.stringify(value, (_, part: unknown) => {
      if (typeof part === 'bigint') throw unstorable('a BigInt (with JSON)');
      return part;
    });
    if (text === undefined) throw unstorable(`a ${typeof value}`);
    return Buffer.from(text);
  },
  deserialize: (bytes) => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown,
};

function pack(packr: Packr, value: unknown): Buffer {
  try {
    return packr.pack(value);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('Unknown type')) throw unstorable('a symbol');
    if (error instanceof RangeError) throw unstorable('an object that is nested too deeply, or a number out of range');
    throw error;
  }
}

/** What could not be read again must not be written. */
function packRecords(value: unknown): Buffer {
  const bytes = pack(recordPackr, value);
  try {
    assertBounded(bytes);
  } catch {
    throw unstorable(`a Map or a cycle beside objects of more than ${MOST_SHAPES} shapes`);
  }
  return bytes;
}

/** Whether there may be a `__proto__` or an identity in the bytes: one quick look for both, which nearly always finds none. */
function mayBeUnfit(bytes: Buffer): boolean {
  for (let i = 1; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === 0x69 && bytes[i - 1] === 0xd6) return true;
    if (byte === 0x5f && bytes[i - 1] === 0x5f) return true;
  }
  return false;
}

function unstorable(what: string): CacheArgumentError {
  return new CacheArgumentError(`value: ${what} cannot be stored`);
}

/** A copy of plain objects, arrays, Maps and Sets in which each object with an own `__proto__` is an OwnProtoObject. */
function keepOwnProto(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  // msgpackr would make its `__proto__` the prototype of what it gives back.
  if (known instanceof OwnProtoObject && !known.isComplete) throw unstorable('an own "__proto__" amid a cycle');
  if (known) return known;
  const remember = <T extends object>(copy: T): T => {
    seen.set(value, copy);
    return copy;
  };
  if (Array.isArray(value)) {
    const copy = remember<unknown[]>([]);
    for (const item of value as unknown[]) copy.push(keepOwnProto(item, seen));
    return copy;
  }
  if (value instanceof Map) {
    const copy = remember(new Map<unknown, unknown>());
    for (const [key, item] of value) copy.set(keepOwnProto(key, seen), keepOwnProto(item, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = remember(new Set<unknown>());
    for (const item of value) copy.add(keepOwnProto(item, seen));
    return copy;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  if (Object.hasOwn(value, '__proto__')) {
    const copy = remember(new OwnProtoObject());
    for (const [key, item] of Object.entries(value)) copy.entries.push([key, keepOwnProto(item, seen)]);
    copy.isComplete = true;
    return copy;
  }
  const copy = remember<Record<string, unknown>>({});
  for (const [key, item] of Object.entries(value)) copy[key] = keepOwnProto(item, seen);
  return copy;
}
