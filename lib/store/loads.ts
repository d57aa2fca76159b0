import { countMiss } from '../redis-cache.diagnostics.js';
import type { PutOptions } from '../redis-cache.options.js';
import { assertFunction } from '../redis-cache.arguments.js';
import type { KeyNaming } from './key-naming.js';
import type { Reads } from './reads.js';
import type { SingleFlight } from './single-flight.js';
import type { Writes } from './writes.js';

/** Records that are loaded where there are none. */
export class Loads {
  constructor(
    private readonly naming: KeyNaming,
    private readonly reads: Reads,
    private readonly writes: Writes,
    private readonly flights: SingleFlight,
    private readonly deadline: () => number,
  ) {}

  /** The value of a record, or what `load` gives, which is then stored if there is still none. */
  async getOrPut(key: string, load: () => unknown, options: PutOptions | undefined): Promise<unknown> {
    const asked = this.writes.read(options);
    assertFunction('load', load);
    const id = this.naming.id(key);
    const copy = this.reads.copy(key);
    if (copy) return copy;
    const loaded = await this.flights.run(this.naming.locate(key), async ({ isCurrent, inside }) => {
      const found = await this.reads.read(key);
      if (found) return found.bytes;
      countMiss();
      const value = await inside(load);
      if (value === undefined) return undefined;
      const draft = await this.writes.draft(key, value, asked);
      if (await this.writes.writeIfAbsent(draft, this.deadline(), isCurrent)) return draft.bytes;
      if (!isCurrent()) return draft.bytes;
      return (await this.reads.read(key))?.bytes ?? draft.bytes; // somebody else's, written meanwhile
    });
    // A copy, since others may share it.
    return loaded && this.reads.handOut(await this.reads.decode(id, Buffer.from(loaded)));
  }
}
