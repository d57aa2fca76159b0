import { bareError, madeOfBytes } from './built-ins.js';
import { KIND } from './graph.js';

type Node = readonly unknown[];
type Part = (slot: unknown) => unknown;

/**
 * Reads a list of nodes (see `graph.ts`) that may be anybody's. First every node becomes an empty object, then these are filled:
 * time and memory follow the number of slots, whatever points to what.
 *
 * @throws RangeError and others for what is no such list
 */
export function readGraph(graph: unknown): unknown {
  if (!Array.isArray(graph) || graph.length === 0) throw malformed();
  const nodes = graph.slice(1).map(asNode);
  const values = nodes.map(begin);
  const part: Part = (slot) => {
    if (typeof slot !== 'object' || slot === null) return slot;
    const number: unknown = Array.isArray(slot) && slot.length === 1 ? slot[0] : undefined;
    if (typeof number !== 'number' || !(number >= 1 && number <= values.length)) throw malformed();
    return values[number - 1];
  };
  nodes.forEach((node, i) => fill(node, values[i], part));
  return part(graph[0]);
}

/** The value of a node that has no slots; what has slots is still empty. */
function begin([kind, ...fields]: Node): unknown {
  const [first, second, third] = fields;
  switch (kind) {
    case KIND.object:
      return {};
    case KIND.bareObject:
      return Object.create(null);
    case KIND.array:
      return [];
    case KIND.map:
      return new Map();
    case KIND.set:
      return new Set();
    case KIND.date:
      return new Date(asNumber(first));
    case KIND.regexp:
      return Object.assign(new RegExp(asText(first), asText(second)), { lastIndex: asNumber(third) });
    case KIND.error:
      return bareError(first);
    case KIND.bytes:
      return madeOfBytes(first, asBytes(second));
    case KIND.bigint:
      return asBigint(asText(first));
    case KIND.text:
      return asBytes(first).toString('utf16le');
    case KIND.minusZero:
      return -0;
    default:
      throw malformed();
  }
}

function fill([kind, ...slots]: Node, value: unknown, part: Part): void {
  if (value instanceof Map) {
    for (let i = 0; i < slots.length; i += 2) value.set(part(slots[i]), part(slots[i + 1]));
  } else if (value instanceof Set) {
    for (const slot of slots) value.add(part(slot));
  } else if (Array.isArray(value)) {
    slots.forEach((slot, i) => {
      if (!isHole(slot)) value[i] = part(slot);
    });
    value.length = slots.length; // a hole may be the last
  } else if (kind === KIND.object || kind === KIND.bareObject) {
    define(value as object, slots, 0, part);
  } else if (kind === KIND.error) {
    define(value as object, slots.slice(2), asNumber(slots[1]), part);
    showMessage(value as Error);
  }
}

/** The stack of an error is not stored; what is printed of it is its first line. */
function showMessage(error: Error): void {
  const { name, message } = error as { name: unknown; message: unknown };
  if (typeof message !== 'string' || (typeof name !== 'string' && name !== undefined)) throw malformed();
  const stack = [name ?? 'Error', message].filter((text) => text !== '').join(': ');
  Object.defineProperty(error, 'stack', { value: stack, writable: true, configurable: true, enumerable: false });
}

/** Defined, not assigned: `__proto__` is a property like any other. The first `hidden` properties are not enumerable. */
function define(object: object, slots: Node, hidden: number, part: Part): void {
  for (let i = 0; i < slots.length; i += 2) {
    const descriptor = { value: part(slots[i + 1]), writable: true, configurable: true, enumerable: i >= 2 * hidden };
    Object.defineProperty(object, asText(slots[i]), descriptor);
  }
}

function isHole(slot: unknown): boolean {
  return Array.isArray(slot) && slot.length === 0;
}

function asNode(node: unknown): Node {
  if (!Array.isArray(node)) throw malformed();
  return node;
}

function asText(field: unknown): string {
  if (typeof field !== 'string') throw malformed();
  return field;
}

function asNumber(field: unknown): number {
  if (typeof field !== 'number') throw malformed();
  return field;
}

function asBytes(field: unknown): Buffer {
  if (!Buffer.isBuffer(field)) throw malformed();
  return field;
}

function asBigint(digits: string): bigint {
  if (!/^-?[0-9a-f]+$/.test(digits)) throw malformed();
  return digits.startsWith('-') ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
}

function malformed(): RangeError {
  return new RangeError('no list of nodes');
}
