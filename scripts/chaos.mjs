// `npm run test:chaos`: the fault runs of test/chaos at full length, then a table of what they measured. If all of them ran
// and passed, the table replaces test/chaos/results.md, which docs/faults.md shows.
// Every run hands in its row through reportFault() of test/support/fault-report.ts.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { findRedisServer } from './processes.mjs';

/** @typedef {Record<string, string | number>} Row */

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** What a run under load measures. Others say what they have to say in a sentence. */
const COLUMNS = [
  'calls',
  'acknowledged writes',
  'lost',
  'reported not sent',
  'reported unknown',
  'longest call (ms)',
  'recovery (ms)',
];

const dir = mkdtempSync(join(tmpdir(), 'chaos-'));
const report = join(dir, 'faults.jsonl');
const selection = process.argv.slice(2);
try {
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  // One fault at a time: two of them on one machine would measure each other.
  const { status } = spawnSync(process.execPath, [...jest, 'test/chaos', '--runInBand', ...selection], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, CHAOS: 'long', FAULT_REPORT: report },
  });
  const text = await format(markdown(readRows()), { parser: 'markdown', printWidth: 120 });
  console.log(`\n${text}`);
  if (status === 0 && selection.length === 0) writeFileSync(join(ROOT, 'test', 'chaos', 'results.md'), text);
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** Faults of one server before those of `Sentinel: …`, `Cluster: …` and the like, which stay together. */
function readRows() {
  /** @type {Row[]} */
  const rows = existsSync(report)
    ? readFileSync(report, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  const rank = (/** @type {Row} */ { fault }) => `${/^\S+( \S+)?:/.test(String(fault)) ? 1 : 0}${String(fault)}`;
  return rows.toSorted((one, other) => rank(one).localeCompare(rank(other)));
}

/** @param {Row[]} rows */
function markdown(rows) {
  const isMeasured = (/** @type {Row} */ row) => COLUMNS.every((column) => column in row);
  const line = (/** @type {(string | number | undefined)[]} */ cells) => `| ${cells.join(' | ')} |`;
  const cell = (/** @type {string | number | undefined} */ value) =>
    typeof value === 'number' ? value.toLocaleString('en') : value;
  const table = [
    line(['fault', ...COLUMNS]),
    line(['---', ...COLUMNS.map(() => '--:')]),
    ...rows.filter(isMeasured).map((row) => line([row['fault'], ...COLUMNS.map((column) => cell(row[column]))])),
  ];
  const others = rows
    .filter((row) => !isMeasured(row))
    .map(({ fault, ...figures }) => {
      const sentence = Object.entries(figures).map(([name, value]) => `${name} ${cell(value)}`);
      return `- ${fault}: ${sentence.join(', ')}`;
    });
  return [`${environment()}\n`, ...table, '', ...others, ''].join('\n');
}

function environment() {
  const { path } = findRedisServer();
  const version = path && /v=(\S+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[1];
  return `Redis ${version}, Node ${process.versions.node}, ${availableParallelism()} cores; \`timeout\` is 500 ms unless the fault says otherwise.`;
}
