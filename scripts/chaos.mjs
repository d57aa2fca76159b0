// `npm run test:chaos`: the fault runs of test/chaos and test/linearizability and the models with kills at full length, then tables of what they
// measured. If all runs of a folder passed, its table replaces its results.md, which docs/faults.md shows.
// `npm run test:chaos -- test/linearizability` runs one of them. Every run hands in its row through reportFault() of test/support/fault-report.ts.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { findRedisServer } from './processes.mjs';

/** @typedef {Record<string, string | number>} Row */

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** What a run under load measures. Others say what they have to say in a sentence. */
const LOAD_COLUMNS = [
  'calls',
  'acknowledged writes',
  'lost',
  'reported not sent',
  'reported unknown',
  'longest call (ms)',
  'recovery (ms)',
];
/** What is counted where histories are checked. */
const HISTORY_COLUMNS = [
  'runs',
  'processes',
  'faults',
  'checked calls',
  'answered',
  'not sent',
  'unknown outcome',
  'without explanation',
];
const FOLDERS = ['test/chaos', 'test/linearizability'];
const MODELS = ['test/auth/models.spec.ts', 'test/integration/tag-model.spec.ts'];

const dir = mkdtempSync(join(tmpdir(), 'chaos-'));
const report = join(dir, 'faults.jsonl');
const timeline = join(dir, 'timeline.svg');
const selection = process.argv.slice(2);
try {
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  const paths = selection.some((argument) => argument.startsWith('test/')) ? [] : [...FOLDERS, ...MODELS];
  // One fault at a time: two of them on one machine would measure each other.
  const { status } = spawnSync(process.execPath, [...jest, ...paths, '--runInBand', ...selection], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, CHAOS: 'long', FAULT_REPORT: report, TIMELINE: timeline },
  });
  const rows = readRows();
  const isOfHistory = (/** @type {Row} */ row) => 'checked calls' in row;
  const tables = {
    'test/chaos': markdown(
      'fault',
      LOAD_COLUMNS,
      rows.filter((row) => !isOfHistory(row)),
    ),
    'test/linearizability': markdown('run', HISTORY_COLUMNS, rows.filter(isOfHistory)),
  };
  for (const [folder, table] of Object.entries(tables)) {
    const text = await format(table, { parser: 'markdown', printWidth: 120 });
    console.log(`\n${text}`);
    const isWhole = selection.length === 0 || (selection.length === 1 && selection[0] === folder);
    if (status === 0 && isWhole) writeFileSync(join(ROOT, folder, 'results.md'), text);
  }
  if (status === 0 && existsSync(timeline)) {
    copyFileSync(timeline, join(ROOT, 'test', 'linearizability', 'timeline.svg'));
  }
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

/**
 * @param {string} subject
 * @param {string[]} columns
 * @param {Row[]} rows
 */
function markdown(subject, columns, rows) {
  const isMeasured = (/** @type {Row} */ row) => columns.every((column) => column in row);
  const line = (/** @type {(string | number | undefined)[]} */ cells) => `| ${cells.join(' | ')} |`;
  const cell = (/** @type {string | number | undefined} */ value) =>
    typeof value === 'number' ? value.toLocaleString('en') : value;
  const table = [
    line([subject, ...columns]),
    line(['---', ...columns.map(() => '--:')]),
    ...rows.filter(isMeasured).map((row) => line([row['fault'], ...columns.map((column) => cell(row[column]))])),
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
