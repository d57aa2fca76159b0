import { appendFileSync } from 'node:fs';

/** `npm run test:chaos` runs the faults at full length; `npm test` runs a short form of each. */
export const LONG = process.env['CHAOS'] === 'long';

/** Hands in one row of the table that `npm run test:chaos` prints; does nothing in an ordinary run. */
export function reportFault(fault: string, figures: Record<string, string | number>): void {
  const file = process.env['FAULT_REPORT'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ fault, ...figures })}\n`);
}
