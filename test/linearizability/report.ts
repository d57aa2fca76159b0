import { writeFileSync } from 'node:fs';
import { reportFault } from '../support/fault-report.js';
import type { History, Outcome } from './history.js';
import { timeline } from './timeline.js';

/** Hands in one row of the table that `npm run test:chaos` writes about checked histories. */
export function reportHistories(name: string, histories: readonly History[], unexplained: number): void {
  const calls = histories.flatMap((history) => history.calls);
  const count = (outcome: Outcome) => calls.filter((call) => call.outcome === outcome).length;
  reportFault(name, {
    runs: histories.length,
    processes: new Set(calls.map(({ process }) => process)).size,
    faults: histories.flatMap(({ faults }) => faults).length,
    'checked calls': calls.length,
    answered: count('ok'),
    'not sent': count('not-sent'),
    'unknown outcome': count('unknown'),
    'without explanation': unexplained,
  });
}

/** Draws one run for the documentation; does nothing in an ordinary run. */
export function drawTimeline(history: History): void {
  const file = process.env['TIMELINE'];
  if (file !== undefined) writeFileSync(file, timeline(history));
}
