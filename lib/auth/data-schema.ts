import type { StandardSchemaV1 } from '@standard-schema/spec';
import { CacheArgumentError, CacheCorruptError } from '../redis-cache.errors.js';

/**
 * Checks the `data` that applications attach, and only that: what surrounds it is rewritten at every use, and a schema that
 * transforms would be given its own output then. What is stored is what was given; transforms happen on reading.
 */
export class DataSchema {
  constructor(private readonly schema: StandardSchemaV1 | undefined) {}

  /** @throws CacheArgumentError with `issues` */
  async check(data: unknown): Promise<void> {
    const result = await this.schema?.['~standard'].validate(data);
    if (!result?.issues) return;
    // Of an issue what the standard says: libraries put more there, such as the value.
    const issues = result.issues.map(({ message, path }) => (path ? { message, path } : { message }));
    throw new CacheArgumentError('data: does not match the schema', { issues });
  }

  /** What `change` makes of stored data, to be stored. @throws CacheCorruptError, CacheArgumentError with `issues` */
  async changed<Data>(data: unknown, change: (data: Data) => unknown): Promise<unknown> {
    const next = await change(await this.read<Data>(data));
    await this.check(next);
    return next;
  }

  /** What the application gets to see. @throws CacheCorruptError */
  read<Data>(data: unknown): Data | Promise<Data> {
    if (!this.schema) return data as Data;
    const result = this.schema['~standard'].validate(data);
    return result instanceof Promise ? result.then(outputOf<Data>) : outputOf<Data>(result);
  }
}

function outputOf<Data>(result: StandardSchemaV1.Result<unknown>): Data {
  if (!result.issues) return result.value as Data;
  throw new CacheCorruptError('the data of the record do not match the schema');
}
