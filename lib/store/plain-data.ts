/** What an object, an array or a place in one takes besides the values that it refers to: an estimate for 64 bits. In bytes. */
const OBJECT = 56;
const PLACE = 16;
const NUMBER = 16;
const TEXT = 24;

/**
 * Freezes plain data: objects, arrays and primitives, which frozen cannot change any more. Gives about how many bytes of memory they
 * take; `undefined`: they are not plain, and nothing is frozen.
 */
export function freezePlainData(value: unknown): number | undefined {
  if (!isPart(value)) return sizeOf(value);
  let size = OBJECT;
  const parts = new Set([value]);
  for (const part of parts) {
    const prototype: unknown = typeof part === 'object' ? Object.getPrototypeOf(part) : undefined;
    if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return undefined;
    const isArray = Array.isArray(part);
    for (const key in part) {
      const inner = (part as Record<string, unknown>)[key];
      size += PLACE + (isArray ? 0 : key.length);
      if (!isPart(inner)) size += sizeOf(inner);
      else if (!parts.has(inner)) {
        parts.add(inner);
        size += OBJECT;
      }
    }
  }
  for (const part of parts) Object.freeze(part);
  return size;
}

/** Of a primitive. Texts of which a letter needs two bytes are rare enough not to be looked for: they count as if all did. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return TEXT + 2 * value.length;
  return typeof value === 'number' || typeof value === 'bigint' ? NUMBER : 0;
}

/** What could be changed, were it not frozen. (A function keeps what it likes to itself.) */
function isPart(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
