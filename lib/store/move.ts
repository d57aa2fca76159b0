import type { CacheBackend, Expiry } from '../backend/cache-backend.js';
import { CLOCK_SKEW } from '../backend/indexes.js';
import type { Decoded, RecordCodec } from '../record/codec.js';
import type { RecordHeader } from '../record/layout.js';
import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import { afterAPart, CacheArgumentError } from '../redis-cache.errors.js';
import type { MoveOptions } from '../redis-cache.options.js';
import { now } from '../redis-cache.timers.js';
import { assertFunction, assertOptions } from '../redis-cache.arguments.js';
import { ttlOf, withinAge } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import { readLimit } from './put-options.js';
import type { Reads } from './reads.js';
import { assertTimeLeft } from './rewrite.js';
import type { StoreSettings } from './store-settings.js';
import type { Limit, TagIndex } from './tag-index.js';
import type { Writes } from './writes.js';

const MOVE_OPTIONS: readonly (keyof MoveOptions<never, never>)[] = ['change', 'ttl', 'tags', 'limit', 'grace', 'leave'];

/** Where a record is to go, and what is to become of it. */
interface Plan {
  readonly from: Place;
  readonly to: Place;
  readonly change?: ((value: unknown) => unknown) | undefined;
  readonly ttl?: number | null | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly limit?: Limit | undefined;
  /** In ms. */
  readonly grace?: number | undefined;
  readonly leave?: ((value: unknown) => unknown) | undefined;
}

interface Place {
  readonly id: string;
  readonly recordKey: string;
  readonly fullKey: string;
}

/** The record to be moved, as it was at a moment of `now()`. */
interface Source extends Decoded {
  readonly left: number | null;
  readonly at: number;
}

/** The record in its new place: at first with a short life, which nothing extends, then as it is to stay. */
interface Target {
  readonly header: RecordHeader;
  readonly provisional: Buffer;
  readonly bytes: Buffer;
  /** What is left under the old key, whose end is not yet known; absent: the record as it is. */
  readonly left?: Buffer | undefined;
}

/**
 * Moves records to other keys, which may lie on other nodes, so that there is no atomic step. The order keeps every promise:
 *
 * 1. the index entries of the new record, then the new record, marked and with a life of 2 × `timeout`;
 * 2. compare-and-delete of the old record (with a grace: it is marked and ends by then): of many callers one succeeds;
 * 3. the full life of the new record.
 *
 * Whoever dies in between leaves at most a record of 2 × `timeout`. Whoever finds the old record changed begins again; gone, or moved
 * by somebody else, takes the new one back.
 */
export class Moves {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
    private readonly reads: Reads,
    private readonly writes: Writes,
    private readonly deadline: () => number,
  ) {}

  /** The bytes of the record in its new place; `undefined`: there is none to be moved. */
  async move(
    from: string,
    to: string,
    options: MoveOptions<unknown, unknown> | undefined,
  ): Promise<Buffer | undefined> {
    const plan = this.plan(from, to, options);
    for (let deadline = this.deadline(); ;) {
      const at = now();
      const record = await this.backend.getWithTtl(plan.from.recordKey, deadline);
      const begun = now();
      const source = record && (await this.source(plan.from, record, at, deadline));
      if (!source) return undefined;
      const target = await this.target(plan, source);
      deadline += now() - begun;
      await this.writes.admit(plan.to.id, target.header, plan.limit, deadline, source);
      const expiry = await this.arrive(plan, target, source, deadline);
      try {
        if (await this.release(plan, source, target, deadline))
          return await this.settle(plan, source, target, expiry, deadline);
        await this.withdraw(plan.to, target, deadline);
        assertTimeLeft(deadline);
      } catch (error) {
        throw afterAPart(error);
      }
    }
  }

  private plan(from: string, to: string, options: MoveOptions<unknown, unknown> = {}): Plan {
    const [source, target] = [this.place(from), this.place(to)];
    if (source.id === target.id) throw new CacheArgumentError('to: must be another key than the one to move from');
    assertOptions(options, MOVE_OPTIONS);
    const { change, ttl, tags, limit, grace, leave } = options;
    if (change !== undefined) assertFunction('change', change);
    if (leave !== undefined) assertFunction('leave', leave);
    if (leave !== undefined && grace === undefined) throw new CacheArgumentError('leave: needs a "grace"');
    const graceTime = toMilliseconds(grace);
    if (grace !== undefined && graceTime === undefined) {
      throw new CacheArgumentError(`grace: ${durationProblem(grace)}`);
    }
    return {
      from: source,
      to: target,
      change,
      ttl: ttl === undefined ? undefined : ttlOf(this.settings, ttl),
      tags: tags === undefined ? undefined : this.naming.tagIds(tags),
      limit: limit === undefined ? undefined : readLimit(limit, this.naming, tags),
      grace: graceTime,
      leave,
    };
  }

  private place(key: string): Place {
    const id = this.naming.id(key);
    return { id, recordKey: this.naming.recordKey(id), fullKey: this.naming.fullKey(key) };
  }

  private async source(
    { id }: Place,
    { bytes, ttl }: { readonly bytes: Buffer; readonly ttl: number | null },
    at: number,
    deadline: number,
  ): Promise<Source | undefined> {
    // A copy, since a serializer may give its bytes out as they are, and they are to be compared.
    const found = await this.reads.decode(id, Buffer.from(bytes), deadline);
    return found && !found.header.movedAway ? { ...found, bytes, left: ttl, at } : undefined;
  }

  /** All that the caller's functions have a part in, so that nothing is written yet if they fail. */
  private async target({ from, to, change, ttl, tags, leave }: Plan, source: Source): Promise<Target> {
    const tagIds = tags ?? source.header.tags;
    const life = ttl === undefined ? {} : { ttl, fixedEnd: false };
    const first = { ...source.header, ...life, tags: tagIds, incarnation: this.writes.incarnation(tagIds) };
    const made = await (change
      ? this.codec.encode(to.fullKey, to.id, await change(source.value), first)
      : this.codec.transfer(from.id, source.bytes, to.fullKey, to.id, first));
    const left =
      leave && (await this.codec.encode(from.fullKey, from.id, await leave(source.value), untagged(source.header)));
    // Callbacks and schema may have taken longer than any write.
    const { header, bytes } = await this.writes.renew({ key: to.fullKey, id: to.id, header: first, bytes: made });
    const mark = endingAt(this.backend.now() + 2 * this.settings.timeout, header);
    return { header, bytes, left, provisional: await this.codec.restamp(to.fullKey, to.id, bytes, mark) };
  }

  /** Puts the new record into its place, with a short life; gives the expiry it is to have in the end. */
  private arrive(plan: Plan, target: Target, source: Source, deadline: number): Promise<() => Expiry> {
    return this.writes.backingOut(plan.to.id, target.header, deadline, (mayBeWritten) => {
      const claim = async (expiry: () => Expiry) => {
        mayBeWritten();
        await this.claim(plan.to, target, deadline);
        return expiry;
      };
      return this.tags.covering(() => this.cover(plan, target.header, source, deadline), claim);
    });
  }

  /** Makes the indexes cover the new record; gives the expiry it is to have in the end. */
  private async cover(plan: Plan, header: RecordHeader, source: Source, deadline: number): Promise<() => Expiry> {
    const { id } = plan.to;
    const { left, at } = source;
    if (plan.ttl !== undefined) {
      const expiry = await this.writes.cover(id, header, undefined, deadline, source);
      return () => expiry;
    }
    const life = withinAge(this.settings, header, left, this.backend.now());
    await this.tags.cover(id, header, life === null ? null : life + CLOCK_SKEW, deadline, source);
    return () => (life === null ? 'never' : { in: Math.max(1, Math.ceil(life - (now() - at))) });
  }

  /** @throws CacheArgumentError */
  private async claim({ id }: Place, { provisional }: Target, deadline: number): Promise<void> {
    const expiry = { in: 2 * this.settings.timeout };
    if (await this.writes.setIfAbsent(id, provisional, expiry, deadline)) return;
    throw new CacheArgumentError('to: there is a record under this key already; move to a new key');
  }

  /** Ends the old record, if it is still the one that was read. */
  private async release({ from, grace }: Plan, source: Source, { left }: Target, deadline: number): Promise<boolean> {
    const { bytes, header } = source;
    const { generation } = this.backend;
    const life = Math.max(1, Math.min(grace ?? 0, source.left ?? Infinity)); // in its last millisecond a record has 0 left
    const end = endingAt(this.backend.now() + life, left ? untagged(header) : header);
    const set = () => this.codec.restamp(from.fullKey, from.id, left ?? bytes, end);
    const change = grace === undefined ? 'delete' : { set: await set(), expiry: { in: life } };
    const isReleased = await this.backend.compareAndSet(from.recordKey, bytes, change, deadline);
    if (isReleased && (grace === undefined || left)) await this.tags.leave([source], generation, deadline);
    return isReleased;
  }

  /** Gives the new record its full life, unless somebody deleted it meanwhile, which wins. */
  private async settle(
    plan: Plan,
    source: Source,
    { header, provisional, bytes }: Target,
    covered: () => Expiry,
    deadline: number,
  ): Promise<Buffer | undefined> {
    const { id, recordKey, fullKey } = plan.to;
    for (let [expected, set, expiry] = [provisional, bytes, covered]; ;) {
      if (await this.backend.compareAndSet(recordKey, expected, { set, expiry: expiry() }, deadline)) return set;
      assertTimeLeft(deadline);
      const current = await this.backend.get(recordKey, deadline);
      const known = current && (await this.codec.header(id, current, deadline));
      // Whatever changed it kept the mark.
      if (!current || !known?.movedAway) return undefined;
      const next = { ...header, tags: known.tags, incarnation: known.incarnation };
      expected = current;
      set = await this.codec.restamp(fullKey, id, current, next);
      // Who gave it other tags made their indexes cover the short life only.
      expiry = await this.cover(plan, next, source, deadline);
    }
  }

  private async withdraw({ id, recordKey }: Place, { header, provisional }: Target, deadline: number): Promise<void> {
    const { generation } = this.backend;
    await this.backend.compareAndSet(recordKey, provisional, 'delete', deadline);
    await this.tags.leave([{ id, header }], generation, deadline);
  }
}

/** A header that says that its record ends for good at a moment of Redis' clock, whatever becomes of its expiry. */
function endingAt(moment: number, header: RecordHeader): RecordHeader {
  return { ...header, movedAway: true, ttl: Math.max(1, Math.ceil(moment) - header.createdAt) };
}

/** The header of what is left under an old key: nobody looks for it by a tag any more. */
function untagged(header: RecordHeader): RecordHeader {
  return { ...header, tags: [], incarnation: undefined };
}
