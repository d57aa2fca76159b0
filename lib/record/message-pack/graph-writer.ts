import { types } from 'node:util';
import { bytesOf, errorClassOf, lineageOf } from './built-ins.js';
import { KIND } from './graph.js';
import { assertDepth, strange, unstorable } from './unstorable.js';

const HOLE: readonly unknown[] = [];
/** An array in which somebody uses large numbers as names may have 4 billion. */
const MOST_HOLES = 2 ** 20;

interface Waiting {
  readonly object: object;
  readonly number: number;
  readonly depth: number;
}

/** Writes a value as a list of nodes (see `graph.ts`), level by level, so that no nesting needs a stack. */
export class GraphWriter {
  private readonly graph: unknown[] = [undefined];
  private readonly slots = new Map<object, unknown>();
  private readonly waiting: Waiting[] = [];

  /** @throws CacheArgumentError for what could not come back as it is */
  write(value: unknown): readonly unknown[] {
    this.graph[0] = this.slot(value, 1);
    for (const { object, number, depth } of this.waiting) {
      assertDepth(depth);
      this.graph[number] = this.node(object, depth + 1);
      if (Object.getOwnPropertySymbols(object).length > 0) throw unstorable('a property whose name is a symbol');
    }
    return this.graph;
  }

  private slot(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case 'string':
        return value.isWellFormed() ? value : this.add([KIND.text, Buffer.from(value, 'utf16le')]);
      case 'number':
        return Object.is(value, -0) ? this.add([KIND.minusZero]) : value;
      case 'bigint':
        return this.add([KIND.bigint, value.toString(16)]);
      case 'boolean':
      case 'undefined':
        return value;
      case 'object':
        return value === null ? null : this.slotOfObject(value, depth);
      default:
        throw strange(value);
    }
  }

  private slotOfObject(object: object, depth: number): unknown {
    const known = this.slots.get(object);
    if (known !== undefined) return known;
    const slot = hasToJson(object) ? this.slotOfJson(object.toJSON(), depth) : this.wait(object, depth);
    this.slots.set(object, slot);
    return slot;
  }

  /** What `toJSON` gives is not asked again, just as by JSON.stringify. */
  private slotOfJson(json: unknown, depth: number): unknown {
    if (typeof json !== 'object' || json === null || !hasToJson(json)) return this.slot(json, depth);
    return this.wait(json, depth);
  }

  private wait(object: object, depth: number): readonly [number] {
    const slot = this.add(undefined);
    this.waiting.push({ object, number: slot[0], depth });
    return slot;
  }

  private add(node: readonly unknown[] | undefined): readonly [number] {
    return [this.graph.push(node) - 1];
  }

  private node(object: object, depth: number): readonly unknown[] {
    const slot = (part: unknown) => this.slot(part, depth);
    const lineage = lineageOf(object);
    if (lineage === 2 && Array.isArray(object)) return [KIND.array, ...this.items(object, slot)];
    if (lineage === 2 && !isOrdinary(object) && Object.keys(object).length === 0) {
      if (types.isMap(object)) return [KIND.map, ...[...object].flat().map(slot)];
      if (types.isSet(object)) return [KIND.set, ...Array.from(object, slot)];
      if (types.isDate(object)) return [KIND.date, object.getTime()];
      if (types.isRegExp(object)) return [KIND.regexp, object.source, object.flags, object.lastIndex];
    }
    const bytes = bytesOf(object);
    // (The names of the properties of other kinds of bytes cannot be had without as many names of places.)
    if (bytes && (lineage > 2 || Object.keys(object).length === 0)) return [KIND.bytes, bytes.name, bytes.bytes];
    if (types.isNativeError(object)) return this.error(object, slot);
    if (!isOrdinary(object)) throw strange(object);
    const kind = lineage === 0 ? KIND.bareObject : KIND.object;
    return [kind, ...this.properties(object, Object.keys(object), slot)];
  }

  private items(array: readonly unknown[], slot: (part: unknown) => unknown): unknown[] {
    const names = Object.keys(array);
    if (array.length - names.length > MOST_HOLES) throw unstorable(`an array with more than ${MOST_HOLES} holes`);
    const slots = Array.from(array, (item, i) => (item === undefined && !(i in array) ? HOLE : slot(item)));
    const elements = slots.filter((each) => each !== HOLE).length;
    if (names.length > elements) throw unstorable('an array with properties beside its elements');
    return slots;
  }

  private error(error: Error, slot: (part: unknown) => unknown): readonly unknown[] {
    const name = errorClassOf(error);
    if (name === undefined) throw strange(error);
    const { message, name: ownName = '' } = error as { message: unknown; name: unknown };
    if (typeof message !== 'string' || typeof ownName !== 'string') {
      throw unstorable('an error whose message or name is not text');
    }
    const enumerable = Object.keys(error);
    const hidden = Object.getOwnPropertyNames(error).filter((key) => key !== 'stack' && !enumerable.includes(key));
    return [KIND.error, name, hidden.length, ...this.properties(error, [...hidden, ...enumerable], slot)];
  }

  private properties(object: object, keys: readonly string[], slot: (part: unknown) => unknown): unknown[] {
    return keys.flatMap((key) => {
      if (!key.isWellFormed()) throw unstorable('a property whose name is not well-formed text');
      return [key, slot((object as Record<string, unknown>)[key])];
    });
  }
}

/** Neither a built-in that is more than its properties, nor a class derived from one. */
function isOrdinary(object: object): boolean {
  return Object.prototype.toString.call(object) === '[object Object]';
}

/** An instance of a class that says how it is to be written. (Those of Date and Buffer say less than there is.) */
function hasToJson(object: object): object is { toJSON: () => unknown } {
  if (!('toJSON' in object) || Object.hasOwn(object, 'toJSON')) return false;
  return typeof object.toJSON === 'function' && !types.isDate(object) && !ArrayBuffer.isView(object);
}
