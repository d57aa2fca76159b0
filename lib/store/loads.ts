import type { PutOptions } from '../redis-cache.options.js';
import { assertFunction } from './arguments.js';
import type { Keyspace } from './keyspace.js';
import type { Reads } from './reads.js';
import type { SingleFlight } from './single-flight.js';
import type { Writes } from './writes.js';

/** Records that are loaded where there are none. */
export class Loads {
  constructor(
    private readonly keyspace: Keyspace,
    private readonly reads: Reads,
    private readonly writes: Writes,
    private readonly flights: SingleFlight,
    private readonly deadline: () => number,
  ) {}

  /** The bytes of a record, or those of what `load` gives, which are then stored if there is still none. */
  async getOrPut(key: string, load: () => unknown, options: PutOptions | undefined): Promise<Buffer | undefined> {
    this.writes.read(options); // says what is wrong with them
    assertFunction('load', load);
    return this.flights.run(this.keyspace.locate(key), async (isCurrent) => {
      const found = await this.reads.read(key);
      if (found) return found.bytes;
      const value = await load();
      if (value === undefined) return undefined;
      const draft = await this.writes.draft(key, value, options);
      if (await this.writes.writeIfAbsent(draft, this.deadline(), isCurrent)) return draft.bytes;
      if (!isCurrent()) return draft.bytes;
      return (await this.reads.read(key))?.bytes ?? draft.bytes; // somebody else's, written meanwhile
    });
  }
}
