import { findAnomalies } from './checker.js';
import type { Call, History, Reading } from './history.js';
import { type RecordInterval, recordsOf } from './projection.js';
import { recordModel } from './record-model.js';
import type { RecordState } from './record-state.js';
import { type Counterexample, seenBy, shrink } from './shrink.js';

/** A call that no order explains. */
export interface Finding {
  readonly key: string;
  readonly call: Call;
  /** The smallest illegal history, as a table. */
  explain(): string;
}

/** Checks every record of a history by itself; answers the calls that no order explains. */
export function check(history: History): Finding[] {
  return [...recordsOf(history)].flatMap(([key, record]) =>
    findAnomalies(recordModel, record).map((anomaly) => ({
      key,
      call: (anomaly.interval as RecordInterval).source,
      explain: () => table(key, history, shrink(record, anomaly)),
    })),
  );
}

const WIDTH = 40;
const HEADINGS = ['', 'process', 'begin ms', 'end ms', 'call', 'answer', 'time'];

function table(key: string, history: History, { before, calls, culprit, states }: Counterexample): string {
  const shown = inOrder(calls.map(({ source }) => source));
  const older = inOrder(contextOf(history, key, before, calls)).filter((call) => !shown.includes(call));
  const first = Math.min(...shown.map(({ begin }) => begin));
  const last = Math.max(...shown.map(({ end }) => end));
  const row = (call: Call) => [
    call === culprit.source ? '>' : '',
    call.process,
    (call.begin - first).toFixed(2),
    (call.end - first).toFixed(2),
    describe(call),
    describeAnswer(call, key),
  ];
  const lines = align([
    HEADINGS,
    ...older.map((call) => [...row(call), 'earlier, or elsewhere']),
    ...shown.map((call) => [...row(call), bar(call, first, last)]),
  ]);
  const age = culprit.source.begin - culprit.begin;
  return [
    `Record ${key}: no order of these calls explains the one marked with ">".`,
    `Before them it was ${list(before)}.`,
    '',
    ...lines,
    '',
    `While ${describe(culprit.source)} went on, the record could be ${list(states)}; the answer was ${describeAnswer(culprit.source, key)}.`,
    ...(age > 0 ? [`This near cache may answer with what the record was ${age.toFixed(1)} ms earlier.`] : []),
  ].join('\n');
}

/** The calls that wrote the values, or gave the secrets or the tags, that the table speaks of. */
function contextOf(
  { calls }: History,
  key: string,
  before: readonly RecordState[],
  shown: readonly RecordInterval[],
): Call[] {
  const values = new Set([...before.map(({ value }) => value ?? undefined), ...shown.map(({ call }) => seenBy(call))]);
  const secrets = new Set([...values].flatMap((value) => value?.split(' ')[0]?.split(',')));
  const ends = new Set(before.flatMap(({ tags }) => [...tags.values()]));
  return calls.filter(
    (call) =>
      (call.value !== undefined && values.has(call.value)) ||
      (call.key === key && (ends.has(call.end) || (call.given !== undefined && secrets.has(call.given)))),
  );
}

function inOrder(calls: readonly Call[]): Call[] {
  return [...new Set(calls)].toSorted((one, other) => one.begin - other.begin);
}

function describe({ operation, key, keys, to, secret, given, value, saw, tags }: Call): string {
  const shown = [
    ...(keys ? [`${keys.length} keys`] : [key]),
    ...(to === undefined ? [] : [`to ${to}`]),
    ...(secret === undefined ? [] : [secret]),
    ...(given === undefined ? [] : [`=> ${given}`]),
    ...(saw === undefined ? [] : [`${saw} =>`]),
    ...(value === undefined ? [] : [value]),
    ...(tags?.length ? [`[${tags.join()}]`] : []),
  ];
  return `${operation}(${shown.join(' ')})`;
}

function describeAnswer({ outcome, result, keys }: Call, key: string): string {
  if (outcome !== 'ok') return outcome;
  const shown = keys
    ? (result as readonly Reading[])[keys.indexOf(key)]
    : (result as Exclude<Call['result'], readonly Reading[]>);
  return shown === null ? 'absent' : String(shown ?? 'done');
}

function bar({ begin, end, outcome }: Call, first: number, last: number): string {
  const column = (time: number) => Math.round(((time - first) / Math.max(last - first, 1e-6)) * (WIDTH - 2));
  const from = column(begin);
  const length = Math.max(0, column(end) - from);
  return `${' '.repeat(from)}|${'-'.repeat(length)}${outcome === 'unknown' ? '->' : '|'}`;
}

function list(states: readonly RecordState[]): string {
  const shown = states.map(
    ({ value, tags }) => `${value ?? 'absent'}${tags.size ? ` [${[...tags.keys()].join()}]` : ''}`,
  );
  return shown.length > 6 ? `${shown.slice(0, 6).join(' or ')} or ${shown.length - 6} others` : shown.join(' or ');
}

function align(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADINGS.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
