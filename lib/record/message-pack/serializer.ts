import { Packr } from 'msgpackr';
import type { Serializer } from '../../redis-cache.options.js';
import { assertOneValue } from './bounds.js';
import { readGraph } from './graph-reader.js';
import { GraphWriter } from './graph-writer.js';
import { isPlain } from './plain.js';

/** Of msgpackr only plain MessagePack is used: its extensions live in a registry that the whole process shares. */
const packr = new Packr({ useRecords: false, variableMapSize: true, copyBuffers: true });
/** Stands before a list of nodes (see `graph.ts`): an extension of MessagePack that no plain value begins with. */
const GRAPH_MARK = Buffer.from([0xd4, 0x4d, 0]);

/**
 * The default serializer: MessagePack. Null, `undefined` inside of objects, booleans, numbers, BigInt, text, Date, RegExp, Map, Set,
 * Buffer, typed arrays, ArrayBuffer, DataView, the built-in errors (without their stack), plain objects, arrays and
 * cycles come back as they went in, at most 500 levels deep. An instance of a class of yours comes back as a plain object with its own
 * enumerable properties, or as what its `toJSON` gives. Anything else is refused: functions, symbols, promises, and classes
 * derived from built-in ones.
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
    if (isPlain(value)) return packr.pack(value);
    return Buffer.concat([GRAPH_MARK, packr.pack(new GraphWriter().write(value))]);
  },
  deserialize(bytes) {
    if (!isGraph(bytes)) return unpack(bytes);
    return readGraph(unpack(bytes.subarray(GRAPH_MARK.length)));
  },
};

function isGraph(bytes: Uint8Array): boolean {
  return bytes[0] === GRAPH_MARK[0] && GRAPH_MARK.every((byte, i) => bytes[i] === byte);
}

function unpack(bytes: Uint8Array): unknown {
  assertOneValue(bytes);
  return packr.unpack(bytes);
}
