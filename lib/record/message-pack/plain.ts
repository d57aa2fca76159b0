import { assertDepth, strange } from './unstorable.js';

/**
 * Whether MessagePack has words for all of a value, so that it comes back as it is: null, undefined, booleans, numbers,
 * well-formed text, valid Dates, Buffers, and plain objects and arrays of these, none of which stands in two places.
 *
 * @throws CacheArgumentError for functions, symbols and what is nested too deeply
 */
export function isPlain(value: unknown): boolean {
  return isPlainPart(value, 1, new Set());
}

function isPlainPart(value: unknown, depth: number, seen: Set<object>): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed();
    case 'number':
      return !Object.is(value, -0); // which msgpackr writes as 0
    case 'boolean':
    case 'undefined':
      return true;
    case 'bigint':
      return false;
    case 'object':
      return value === null || isPlainObject(value, depth, seen);
    default:
      throw strange(value);
  }
}

function isPlainObject(object: object, depth: number, seen: Set<object>): boolean {
  assertDepth(depth);
  if (seen.has(object)) return false;
  seen.add(object);
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === null || Object.getOwnPropertySymbols(object).length > 0) return false;
  if (Array.isArray(object)) return prototype === Array.prototype && isPlainArray(object, depth, seen);
  // The root of another realm (under Jest, Node's own objects are of one) is as good as Object.prototype.
  if (Object.getPrototypeOf(prototype) === null) return hasPlainProperties(object, depth, seen);
  if (prototype === Date.prototype)
    return !Number.isNaN((object as Date).getTime()) && Object.keys(object).length === 0;
  return prototype === Buffer.prototype;
}

function isPlainArray(array: readonly unknown[], depth: number, seen: Set<object>): boolean {
  if (Object.keys(array).length !== array.length) return false; // holes, or properties beside the elements
  return array.every((item) => isPlainPart(item, depth + 1, seen));
}

function hasPlainProperties(object: object, depth: number, seen: Set<object>): boolean {
  if (Object.prototype.toString.call(object) !== '[object Object]') return false;
  for (const key of Object.keys(object)) {
    // msgpackr renames the first on reading, and calls or compares the others on writing.
    if (key === '__proto__' || key === 'toJSON' || key === 'constructor' || !key.isWellFormed()) return false;
    if (!isPlainPart((object as Record<string, unknown>)[key], depth + 1, seen)) return false;
  }
  return true;
}
