import { authIntervalsOf, isOfAuth, revocationsOf, successorsOf } from './auth-projection.js';
import type { Interval } from './checker.js';
import { effectsOf, hasHappened, isPartial } from './effects.js';
import { BY_TAG, type Fresh, Freshness, OF_MANY } from './freshness.js';
import { type Call, type History, isDoomed, type Reading } from './history.js';
import type { RecordCall } from './record-model.js';

/** An interval of a record, and the call of the history that it is about. */
export type RecordInterval = Interval<RecordCall> & { readonly source: Call };

/**
 * The history as each record saw it. `getMany` is a read of each key; `move` takes one record and puts another; `deleteByTag` may delete each record that ever had
 * the tag. A call that did not happen is left out, and so is a read that was not answered.
 */
export function recordsOf(history: History): Map<string, RecordInterval[]> {
  const calls = history.calls.toSorted((one, other) => one.begin - other.begin);
  const records = new Map<string, RecordInterval[]>();
  const tagged = keysByTag(calls);
  const [successors, revocations] = [successorsOf(calls), revocationsOf(calls)];
  const freshness = new Freshness(history.leases);
  for (const call of calls) {
    for (const key of keysOf(call, tagged)) {
      const record = records.get(key) ?? [];
      records.set(key, record);
      const fresh = freshness.of(call, key);
      const intervals =
        isOfAuth(call) && !OF_MANY.has(call.operation)
          ? authIntervalsOf(call, fresh, successors, revocations)
          : intervalsOf(call, key, fresh);
      record.push(...intervals.map((interval) => ({ ...interval, source: call })));
    }
    freshness.note(call);
  }
  return records;
}

function keysByTag(calls: readonly Call[]): Map<string, Set<string>> {
  const keys = new Map<string, Set<string>>();
  for (const { operation, key, to = key, tags = [] } of calls) {
    if (OF_MANY.has(operation)) continue;
    for (const tag of tags) keys.set(tag, (keys.get(tag) ?? new Set()).add(to));
  }
  return keys;
}

function keysOf(
  { operation, key, keys, to, except }: Call,
  tagged: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  if (OF_MANY.has(operation)) return [...(tagged.get(key) ?? [])].filter((each) => each !== except);
  if (keys) return [...new Set(keys)];
  return to === undefined ? [key] : [key, to];
}

function intervalsOf(call: Call, key: string, { from, signedOut }: Fresh): Interval<RecordCall>[] {
  if (!hasHappened(call)) return [];
  const { begin, result, value = '', tags } = call;
  const { read, write, isKnown, end } = effectsOf(call);
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
        // `revokeOthers` does nothing if its own session is over.
        ...(BY_TAG.has(call.operation) ? read({ operation: 'signedOut', tag: call.key, begin }) : []),
        {
          call: { operation: 'signOut', tag: call.key },
          begin,
          end: isPartial(call) ? call.end : end,
          effect: 'repeated',
        },
      ];
  }
}
