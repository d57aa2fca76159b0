import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, type Finding } from './explain.js';
import { type History, writeHistory } from './history.js';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const MOST_SHOWN = 3;

/** Fails a run whose history is not linearizable, or in which calls rejected with what no call may reject with. */
export function expectLinearizable(name: string, history: History): void {
  const broken = history.calls.filter(({ outcome }) => outcome === 'broken');
  const findings = check(history);
  if (broken.length + findings.length === 0) return;
  const file = keep(name, history);
  const errors = [...new Set(broken.map(({ operation, error }) => `${operation} rejected with ${error}`))];
  throw new Error([...errors, explain(findings), howToCheckAgain(file)].join('\n\n'));
}

/** The smallest illegal histories, one for each of the first few records. */
export function explain(findings: readonly Finding[]): string {
  const firstOfEach = [...new Map(findings.toReversed().map((finding) => [finding.key, finding])).values()];
  return firstOfEach
    .slice(0, MOST_SHOWN)
    .map((finding) => finding.explain())
    .join('\n\n');
}

/** Writes the history to a file below .build/, which Git ignores. */
function keep(name: string, history: History): string {
  const file = join(ROOT, '.build', 'histories', `${name.replace(/\W+/g, '-')}-${Date.now()}.jsonl`);
  writeHistory(file, history);
  return file;
}

function howToCheckAgain(file: string): string {
  const path = relative(ROOT, file);
  return `The history is kept. To check it again:\n  node --import ./test/support/typescript-loader.mjs test/linearizability/check.ts ${path}`;
}
