import { callbackify } from 'node:util';

/** The last argument of a method, as express-session gives it: hears of the error, or of the result. */
export type Callback<T = void> = (error?: unknown, result?: T) => void;

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** A class decorator: a method that gives a promise tells the end of it to its last argument as well, if that is a function. */
export function takesCallbacks(storeClass: { readonly prototype: object }): void {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(storeClass.prototype))) {
    if (name === 'constructor' || typeof property.value !== 'function') continue;
    const method = property.value as Method;
    const value: Method = function calledBack(...args) {
      const result = method.apply(this, args);
      const callback = args.at(-1);
      if (result instanceof Promise && typeof callback === 'function') callbackify(() => result)(callback as Callback);
      return result;
    };
    Object.defineProperty(storeClass.prototype, name, { ...property, value });
  }
}
