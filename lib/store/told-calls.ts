import { types } from 'node:util';
import { areCallsObserved, observeCall, observeWalk } from '../redis-cache.diagnostics.js';
import type { CacheCallMessage, CacheConnectionSource } from '../redis-cache.diagnostics.js';

type Method = (this: Observed, ...args: unknown[]) => unknown;

interface Observed {
  readonly namespace: string;
  readonly source: CacheConnectionSource;
}

/** These give a record, or something of it, or `undefined`. */
const READS = new Set(['get', 'take', 'inspect', 'ttl']);
/** These ask Redis for nothing, or for something that has no end. */
const NO_CALLS = new Set(['constructor', 'scope', 'watch']);

/** A class decorator: every method of a store tells the diagnostics channel of its calls, if anybody listens. */
export function tellsCalls(storeClass: { readonly prototype: object }): void {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(storeClass.prototype))) {
    if (NO_CALLS.has(name) || typeof property.value !== 'function') continue;
    const method = property.value as Method;
    const observed = types.isGeneratorFunction(method) ? walk(name, method) : single(name, method);
    const value: Method = function told(...args) {
      return areCallsObserved() ? observed.apply(this, args) : method.apply(this, args);
    };
    Object.defineProperty(storeClass.prototype, name, { ...property, value });
  }
}

function single(name: string, method: Method): Method {
  return function (...args) {
    const call = begin(this, name);
    const run = () => method.apply(this, args) as Promise<unknown>;
    return observeCall(call, run, (value) => count(call, value));
  };
}

function walk(name: string, method: Method): Method {
  return function (...args) {
    return observeWalk(begin(this, name), () => method.apply(this, args) as AsyncIterable<unknown>);
  };
}

function begin({ namespace, source }: Observed, operation: string): CacheCallMessage {
  return { operation, namespace, ...source, hits: 0, misses: 0, retries: 0, batchSize: 0 };
}

/** Counts what was found, given the result of a method. (The misses of `getOrPut` are counted where it loads.) */
function count(call: CacheCallMessage, value: unknown): void {
  const { operation } = call;
  if (operation === 'getMany') {
    const found = (value as unknown[]).filter((each) => each !== undefined).length;
    call.hits = found;
    call.misses = (value as unknown[]).length - found;
  } else if (operation === 'getOrPut') {
    call.hits = 1 - call.misses;
  } else if (READS.has(operation) || operation === 'has') {
    call.hits = Number(operation === 'has' ? value === true : value !== undefined);
    call.misses = 1 - call.hits;
  }
}
