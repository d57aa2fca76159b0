import { types } from 'node:util';

type BytesClass = new (buffer: ArrayBuffer) => ArrayBufferView;

/** Classes whose instances are nothing but bytes. (Float16Array is newer than the oldest Node.) */
const VIEWS: ReadonlyMap<string, BytesClass> = new Map(
  [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    DataView,
  ].map((kind) => [kind.name, kind as BytesClass]),
);

const ERRORS: ReadonlyMap<string, new () => Error> = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((kind) => [kind.name, kind]),
);
const AGGREGATE = 'AggregateError';

/** How many prototypes stand behind an object: 1 for `{}`, 2 for a Map or an instance of a class. */
export function lineageOf(object: object): number {
  let length = 0;
  let ancestor: unknown = Object.getPrototypeOf(object);
  for (; ancestor !== null && length < 10; length++) ancestor = Object.getPrototypeOf(ancestor);
  return length;
}

/** The class and the bytes of an instance of a built-in class of bytes itself, not of one derived from it. */
export function bytesOf(object: object): { readonly name: string; readonly bytes: Buffer } | undefined {
  const lineage = lineageOf(object);
  if (types.isArrayBuffer(object)) {
    return lineage === 2 ? { name: 'ArrayBuffer', bytes: Buffer.from(object) } : undefined;
  }
  if (!ArrayBuffer.isView(object)) return undefined;
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.byteLength);
  if (Object.getPrototypeOf(object) === Buffer.prototype) return { name: 'Buffer', bytes };
  const name = types.isDataView(object) ? 'DataView' : Object.prototype.toString.call(object).slice(8, -1);
  const isOwnClass = lineage === (types.isDataView(object) ? 2 : 3);
  return isOwnClass && VIEWS.has(name) ? { name, bytes } : undefined;
}

/** The reverse of `bytesOf`. @throws RangeError */
export function madeOfBytes(name: unknown, bytes: Buffer): unknown {
  if (name === 'Buffer') return bytes;
  const buffer = new Uint8Array(bytes).buffer; // a copy that begins where a number may begin
  if (name === 'ArrayBuffer') return buffer;
  const view = VIEWS.get(String(name));
  if (!view) throw new RangeError('a class of bytes that nobody knows');
  return new view(buffer);
}

/** The name of the built-in class of an error; `undefined` for one of a class derived from it. */
export function errorClassOf(error: Error): string | undefined {
  const name: unknown = (Object.getPrototypeOf(error) as { constructor?: { name?: unknown } }).constructor?.name;
  const isOwnClass = lineageOf(error) === (name === 'Error' ? 2 : 3);
  return isOwnClass && typeof name === 'string' && (ERRORS.has(name) || name === AGGREGATE) ? name : undefined;
}

/** An error of a built-in class. @throws RangeError */
export function bareError(name: unknown): Error {
  const kind = ERRORS.get(String(name));
  if (!kind && name !== AGGREGATE) throw new RangeError('a class of errors that nobody knows');
  return kind ? new kind() : new AggregateError([]);
}
