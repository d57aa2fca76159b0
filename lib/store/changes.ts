import type { CacheBackend } from '../backend/cache-backend.js';
import type { PutOptions } from '../redis-cache.options.js';
import { now } from '../redis-cache.timers.js';
import { assertFunction } from '../redis-cache.arguments.js';
import type { KeyNaming } from './key-naming.js';
import type { Reads } from './reads.js';
import { assertTimeLeft } from './rewrite.js';
import type { Rewrites } from './rewrite.js';
import type { TagIndex } from './tag-index.js';
import { UpdateQueue } from './update-queue.js';
import type { Writes } from './writes.js';

/** What the caller makes of values that are there: replaces, updates or deletes them. */
export class Changes {
  private readonly queue: UpdateQueue;

  constructor(
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly tags: TagIndex,
    private readonly reads: Reads,
    private readonly writes: Writes,
    private readonly rewrites: Rewrites,
    private readonly deadline: () => number,
  ) {
    this.queue = UpdateQueue.of(backend);
  }

  /** Stores a value if there is a record; whether there was. */
  async replace(key: string, value: unknown, options: PutOptions | undefined): Promise<boolean> {
    const asked = this.writes.readWithoutLimit(options);
    const { bytes: record } = await this.writes.draft(key, value, asked); // says what is wrong even if there is no record
    return (await this.rewrites.rewrite(key, async () => ({ record }), asked, this.deadline())) !== undefined;
  }

  /** Gives the new bytes; `undefined`: there is no record. */
  async update(
    key: string,
    change: (current: unknown) => unknown,
    options: PutOptions | undefined,
  ): Promise<Buffer | undefined> {
    const id = this.naming.id(key);
    assertFunction('change', change);
    const asked = this.writes.readWithoutLimit(options);
    const next = async (bytes: Buffer) => {
      // A copy, since a serializer may give its bytes out as they are, and they are to be compared.
      const current = await this.reads.decode(id, Buffer.from(bytes));
      return current && { value: await change(current.value) };
    };
    const deadline = this.deadline();
    const rewrite = () => this.rewrites.rewrite(key, next, asked, deadline);
    return this.queue.run(this.naming.recordKey(id), deadline, rewrite);
  }

  /** Deletes a record as `test` saw it: if it was changed meanwhile, `test` decides again. The time that takes does not count. */
  async deleteIf(key: string, test: (value: unknown) => boolean | Promise<boolean>): Promise<boolean> {
    const id = this.naming.id(key);
    assertFunction('test', test);
    const recordKey = this.naming.recordKey(id);
    for (let deadline = this.deadline(); ;) {
      const { generation } = this.backend;
      const bytes = await this.backend.get(recordKey, deadline);
      const begun = now();
      const found = bytes && (await this.reads.decode(id, Buffer.from(bytes), deadline));
      if (!bytes || !found || !(await test(found.value))) return false;
      deadline += now() - begun;
      if (await this.backend.compareAndSet(recordKey, bytes, 'delete', deadline)) {
        await this.tags.leave([found], generation, deadline);
        return true;
      }
      assertTimeLeft(deadline);
    }
  }
}
