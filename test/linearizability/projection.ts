import type { Interval } from './checker.js';
import { type Call, type History, isDoomed, type Reading } from './history.js';
import type { RecordCall } from './record-model.js';

/** What the clocks of Redis, of timers and of this history may differ by, in ms. */
const SLACK = 5;

/** What begins so many ms after an end does not meet it. A nanosecond. */
const AFTER = 1e-6;

/** An interval of a record, and the call of the history that it is about. */
export type RecordInterval = Interval<RecordCall> & { readonly source: Call };

const WRITES = new Set<Call['operation']>([
  'put',
  'putIfAbsent',
  'replace',
  'update',
  'take',
  'delete',
  'deleteIf',
  'move',
  'deleteByTag',
]);

/**
 * The history as each record saw it. `getMany` is a read of each key; `move` takes one record and puts another; `deleteByTag` may delete each record that ever had
 * the tag. A call that did not happen is left out, and so is a read that was not answered.
 */
export function recordsOf(history: History): Map<string, RecordInterval[]> {
  const calls = history.calls.toSorted((one, other) => one.begin - other.begin);
  const records = new Map<string, RecordInterval[]>();
  const tagged = keysByTag(calls);
  const freshness = new Freshness(history.leases);
  for (const call of calls) {
    for (const key of keysOf(call, tagged)) {
      const record = records.get(key) ?? [];
      records.set(key, record);
      const intervals = intervalsOf(call, key, freshness.of(call, key));
      record.push(...intervals.map((interval) => ({ ...interval, source: call })));
    }
    freshness.note(call);
  }
  return records;
}

/** What a read may answer with. */
interface Fresh {
  /** What the record was at this moment or later, */
  readonly from: number;
  /** and no record that has one of these tags since before these moments. */
  readonly signedOut: readonly (readonly [tag: string, begin: number])[];
}

/** What reads may answer with: without a near cache what is; with one nothing older than the lease or a write of its process. */
class Freshness {
  private readonly writes = new Map<string, Call[]>();

  constructor(private readonly leases: History['leases']) {}

  /** In the order of their begins. */
  note(call: Call): void {
    if (this.leases[call.process] === undefined || call.outcome !== 'ok' || !WRITES.has(call.operation)) return;
    // A deletion counts even if there was nothing to delete. A conditional write that wrote nothing is none.
    const isDeletion = ['take', 'delete', 'deleteByTag'].includes(call.operation);
    if (!isDeletion && (call.result === false || call.result === null)) return;
    const name = call.operation === 'deleteByTag' ? call.process : `${call.process} ${call.key}`;
    const writes = this.writes.get(name) ?? [];
    this.writes.set(name, writes);
    writes.push(call);
  }

  of({ process, begin }: Call, key: string): Fresh {
    const lease = this.leases[process];
    if (lease === undefined) return { from: begin, signedOut: [] };
    const oldest = begin - lease - SLACK;
    const recent = (name: string) => (this.writes.get(name) ?? []).filter(({ end }) => oldest < end && end <= begin);
    return {
      from: Math.max(oldest, ...recent(`${process} ${key}`).map(({ end }) => end + AFTER)),
      signedOut: recent(process).map((call) => [call.key, call.begin]),
    };
  }
}

function keysByTag(calls: readonly Call[]): Map<string, Set<string>> {
  const keys = new Map<string, Set<string>>();
  for (const { operation, key, to = key, tags = [] } of calls) {
    if (operation === 'deleteByTag') continue;
    for (const tag of tags) keys.set(tag, (keys.get(tag) ?? new Set()).add(to));
  }
  return keys;
}

function keysOf({ operation, key, keys = [], to }: Call, tagged: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  switch (operation) {
    case 'getMany':
      return [...new Set(keys)];
    case 'deleteByTag':
      return [...(tagged.get(key) ?? [])];
    default:
      return to === undefined ? [key] : [key, to];
  }
}

function intervalsOf(call: Call, key: string, { from, signedOut }: Fresh): Interval<RecordCall>[] {
  const { begin, outcome, result, value = '', tags } = call;
  const isKnown = outcome === 'ok';
  // A deletion by tag that was refused halfway has deleted something. Nothing else that was refused has happened.
  const isPartial = outcome === 'refused' && call.operation === 'deleteByTag';
  if (!isKnown && !isPartial && outcome !== 'unknown') return [];
  const end = isKnown ? call.end : Infinity;
  const read = (made: RecordCall, earliest = begin): Interval<RecordCall>[] =>
    isKnown ? [{ call: made, begin: earliest, end, effect: 'read' }] : [];
  const write = (made: RecordCall, alike?: string): Interval<RecordCall>[] => [
    isKnown
      ? { call: made, begin, end, effect: 'write' }
      : { call: made, begin, end, effect: 'maybe', ...(alike && { alike }) },
  ];
  /** Whose answer `false`, or "absent", says that it changed nothing. */
  const conditional = (made: RecordCall, alike?: string): Interval<RecordCall>[] =>
    isKnown && (result === false || result === null) ? read(made) : write(made, alike);
  const answer = isKnown && typeof result === 'boolean' ? { result } : {};
  switch (call.operation) {
    case 'get':
      return read({ operation: 'get', result: result as Reading, signedOut }, from);
    case 'getMany': {
      const readings = result as readonly Reading[] | undefined;
      return read({ operation: 'get', result: readings?.[call.keys?.indexOf(key) ?? -1] ?? null, signedOut }, from);
    }
    case 'put':
      return write({ operation: 'put', value, tags: tags ?? [], end });
    case 'putIfAbsent':
      return conditional({ operation: 'putIfAbsent', value, tags: tags ?? [], end, ...answer });
    case 'replace':
      return conditional({ operation: 'replace', value, end, ...(tags && { tags }), ...answer });
    case 'update':
      if (result === null) return read({ operation: 'get', result });
      // What was never given to `change` was never written.
      return call.saw === undefined
        ? []
        : write({ operation: 'update', saw: call.saw, value, end, ...(tags && { tags }) });
    case 'move':
      if (key === call.to)
        return isKnown && result === null ? [] : write({ operation: 'put', value, tags: tags ?? [], end });
      if (call.saw === undefined) return read({ operation: 'get', result: null });
      // The record was gone when it was looked at again; or it was moved, and a deletion by tag reached it in its new place.
      if (isKnown && result === null) {
        return [{ call: { operation: 'take', result: call.saw }, begin, end, effect: 'repeated' }];
      }
      return write({ operation: 'take', result: call.saw });
    case 'deleteIf':
      if (call.saw === undefined) return read({ operation: 'get', result: null });
      if (!isDoomed(call.saw)) return read({ operation: 'get', result: call.saw });
      // It was gone when it was to be deleted.
      return result === false
        ? read({ operation: 'get', result: null })
        : write({ operation: 'take', result: call.saw });
    case 'increment':
      return write({ operation: 'increment', ...(isKnown && { result: Number(result) }) }, 'increment');
    case 'counter':
      return read({ operation: 'get', result: typeof result === 'number' ? String(result) : null });
    case 'take':
      return conditional({ operation: 'take', ...(isKnown && { result: result as Reading }) }, 'delete');
    case 'delete':
    case 'resetCounter':
      return conditional({ operation: 'delete', ...answer }, 'delete');
    default:
      // In this order: both end at the same moment, until which records may be deleted.
      return [
        ...read({ operation: 'signedOut', tag: call.key, begin }),
        { call: { operation: 'signOut', tag: call.key }, begin, end: isPartial ? call.end : end, effect: 'repeated' },
      ];
  }
}
