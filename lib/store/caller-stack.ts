import { types } from 'node:util';
import { CacheCommandError, CacheCorruptError, CacheUnavailableError } from '../redis-cache.errors.js';

type Method = (this: unknown, ...args: unknown[]) => Promise<unknown>;

/**
 * A class decorator: an error that comes from Redis, or from its absence, is made where a call is rejected, so that its stack leads to the line of the
 * caller. (Where a socket ends or a timer runs out, nobody is on the stack; and one lost command may fail many callers, each of
 * which is given an error of its own.) An error about a corrupt record then has the key that the caller gave. It takes the async
 * methods; `get`, which is none for the sake of speed, does so itself.
 */
export function tracesCallers(storeClass: { readonly prototype: object }): void {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(storeClass.prototype))) {
    if (!types.isAsyncFunction(property.value) || types.isGeneratorFunction(property.value)) continue; // `scan` is both
    const method = property.value as Method;
    const value: Method = function traced(...args) {
      return method.apply(this, args).then(undefined, rejecting(args[0]));
    };
    Object.defineProperty(storeClass.prototype, name, { ...property, value });
  }
}

/**
 * The second argument of `then` for a call whose first argument is `key`, if it is a text: V8 finds the awaiting callers from there, and from no
 * function that is called later.
 */
export function rejecting(key: unknown): (error: unknown) => never {
  return (error) => {
    throw ownError(error, typeof key === 'string' ? key : undefined);
  };
}

function ownError(error: unknown, key: string | undefined): unknown {
  if (error instanceof CacheUnavailableError) {
    return new CacheUnavailableError(error.reason, error.outcome, error.message, { cause: error.cause });
  }
  if (error instanceof CacheCommandError) {
    return new CacheCommandError(error.reply, error.message, { cause: error.cause });
  }
  if (error instanceof CacheCorruptError) {
    return new CacheCorruptError(error.message, { cause: error.cause, key: error.key ?? key });
  }
  return error;
}
