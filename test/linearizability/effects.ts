import type { Interval } from './checker.js';
import { OF_MANY } from './freshness.js';
import type { Call } from './history.js';
import type { RecordCall } from './record-model.js';

/** A deletion by tag that was refused halfway has deleted something. Nothing else that was refused has happened. */
export function isPartial({ outcome, operation }: Call): boolean {
  return outcome === 'refused' && OF_MANY.has(operation);
}

/** Whether the call has happened, or may have. */
export function hasHappened(call: Call): boolean {
  return call.outcome === 'ok' || call.outcome === 'unknown' || isPartial(call);
}

/** How a call that has happened can have taken effect. */
export function effectsOf(call: Call) {
  const isKnown = call.outcome === 'ok';
  const end = isKnown ? call.end : Infinity;
  return {
    isKnown,
    end,
    /** A read that was not answered is left out. */
    read: (made: RecordCall, begin = call.begin): Interval<RecordCall>[] =>
      isKnown ? [{ call: made, begin, end, effect: 'read' }] : [],
    write: (made: RecordCall, alike?: string): Interval<RecordCall>[] => [
      isKnown
        ? { call: made, begin: call.begin, end, effect: 'write' }
        : { call: made, begin: call.begin, end, effect: 'maybe', ...(alike && { alike }) },
    ],
  };
}
