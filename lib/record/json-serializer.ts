import type { Serializer } from '../redis-cache.options.js';
import { CacheArgumentError } from '../redis-cache.errors.js';

/**
 * JSON, for records that other programs read too. It keeps what JSON keeps: a Date comes back as a string, a Map as `{}`.
 * In a store with a schema, `put` refuses a value that would not match the schema when it comes back.
 *
 * @example
 * ```ts
 * RedisCacheModule.forFeature({ namespace: 'deny-list', serializer: jsonSerializer });
 * ```
 */
export const jsonSerializer: Serializer = {
  serialize(value) {
    const text = JSON.stringify(value, (_, part: unknown) => {
      if (typeof part === 'bigint') throw unstorable('a BigInt');
      return part;
    });
    if (text === undefined) throw unstorable(`a ${typeof value}`);
    return Buffer.from(text);
  },
  deserialize: (bytes) => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown,
};

function unstorable(what: string): CacheArgumentError {
  return new CacheArgumentError(`value: ${what} cannot be stored as JSON`);
}
