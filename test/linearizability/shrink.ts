import { type Anomaly, findAnomalies } from './checker.js';
import type { RecordInterval } from './projection.js';
import { type RecordCall, recordModel } from './record-model.js';
import type { RecordState } from './record-state.js';

/** A piece of the history of one record that no order explains, and that is legal without its last call. */
export interface Counterexample {
  /** What the record could be before these calls. */
  readonly before: readonly RecordState[];
  readonly calls: readonly RecordInterval[];
  /** The call that no order explains. */
  readonly culprit: RecordInterval;
  /** What the record could be while the culprit went on. */
  readonly states: readonly RecordState[];
}

/**
 * The smallest piece of an illegal history that is found by cutting off what was before the last calm moment, and what
 * began after the culprit ended, and then leaving out one call after the other while the rest stays illegal. A write
 * stays if the record could be what it wrote, or if a call that is left saw that.
 */
export function shrink(record: readonly RecordInterval[], anomaly: Anomaly<RecordState, RecordCall>): Counterexample {
  const culprit = record.find((interval) => interval === anomaly.interval);
  if (culprit === undefined) throw new Error('the anomaly is of another record');
  const past = record.filter(({ begin }) => begin <= culprit.end);
  const recent = past.filter(({ begin, end }) => begin >= anomaly.calm.time || end > culprit.begin);
  const cut = { before: anomaly.calm.states, calls: recent };
  const whole = { before: [recordModel.initial], calls: past };
  const { before, calls } = isIllegal(cut, culprit) ? cut : whole;

  let kept = calls;
  for (const candidate of calls.toReversed()) {
    if (candidate === culprit) continue;
    const rest = kept.filter((interval) => interval !== candidate);
    if (mayGo(candidate, rest, before) && isIllegal({ before, calls: rest }, culprit)) kept = rest;
  }
  const [found] = findAnomalies(recordModel, kept, before);
  return { before, calls: kept, culprit, states: found?.states ?? anomaly.states };
}

/** Whether the culprit, and nothing before it, is without an explanation. */
function isIllegal({ before, calls }: Pick<Counterexample, 'before' | 'calls'>, culprit: RecordInterval): boolean {
  return findAnomalies(recordModel, calls, before)[0]?.interval === culprit;
}

/** To leave out a read takes nothing from the others. What somebody depends on has to stay. */
function mayGo(
  { effect, call }: RecordInterval,
  rest: readonly RecordInterval[],
  before: readonly RecordState[],
): boolean {
  if (effect === 'read') return true;
  if (call.operation === 'signOut') {
    const { tag } = call;
    return !before.some(({ tags }) => tags.has(tag)) && !rest.some((other) => givesTag(other.call, tag));
  }
  const written = writtenBy(call);
  if (written === undefined) return false;
  return !rest.some((other) => seenBy(other.call) === written || seesPresence(other.call));
}

function givesTag(call: RecordCall, tag: string): boolean {
  return 'tags' in call && call.tags?.includes(tag) === true;
}

export function writtenBy(call: RecordCall): string | undefined {
  return 'value' in call ? call.value : undefined;
}

export function seenBy(call: RecordCall): string | undefined {
  switch (call.operation) {
    case 'get':
    case 'take':
      return call.result ?? undefined;
    case 'update':
      return call.saw;
    default:
      return undefined;
  }
}

/** Whether the answer says that there was some record. */
function seesPresence(call: RecordCall): boolean {
  switch (call.operation) {
    case 'putIfAbsent':
      return call.result === false;
    case 'replace':
    case 'delete':
      return call.result === true;
    default:
      return false;
  }
}
