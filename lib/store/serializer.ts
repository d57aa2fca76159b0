import { addExtension, Packr } from 'msgpackr';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { Serializer } from '../redis-cache.options.js';
import { OWN_PROTO, unpackBounded } from './message-pack-bounds.js';

/** msgpackr calls this for functions inside a value; without it they would come back as `undefined`. */
class StrictPackr extends Packr {
  writeFunction(): never {
    throw unstorable('a function');
  }
}

/** An object with an own property named `__proto__` (JSON.parse makes such), which msgpackr would rename. */
class OwnProtoObject {
  constructor(readonly entries: [string, unknown][]) {}
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

const packr = new StrictPackr({ structuredClone: true, useRecords: true, copyBuffers: true, useBigIntExtension: true });

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
    const bytes = pack(value);
    return bytes.includes('__proto__') ? pack(keepOwnProto(value, new Map())) : bytes;
  },
  deserialize: (bytes) => unpackBounded(packr, bytes),
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

function pack(value: unknown): Buffer {
  try {
    return packr.pack(value);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('Unknown type')) throw unstorable('a symbol');
    if (error instanceof RangeError) throw unstorable('an object that is nested too deeply, or a number out of range');
    throw error;
  }
}

function unstorable(what: string): CacheArgumentError {
  return new CacheArgumentError(`value: ${what} cannot be stored`);
}

/** A copy of plain objects, arrays, Maps and Sets in which each object with an own `__proto__` is an OwnProtoObject. */
function keepOwnProto(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return seen.get(value);
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
    const copy = remember(new OwnProtoObject([]));
    for (const [key, item] of Object.entries(value)) copy.entries.push([key, keepOwnProto(item, seen)]);
    return copy;
  }
  const copy = remember<Record<string, unknown>>({});
  for (const [key, item] of Object.entries(value)) copy[key] = keepOwnProto(item, seen);
  return copy;
}
