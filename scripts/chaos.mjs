// `npm run test:chaos`: the fault runs of test/chaos at full length, then a table of what they measured.
// Every run hands in its row through reportFault() of test/support/fault-report.ts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const dir = mkdtempSync(join(tmpdir(), 'chaos-'));
const report = join(dir, 'faults.jsonl');
try {
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  // One fault at a time: two of them on one machine would measure each other.
  const { status } = spawnSync(process.execPath, [...jest, 'test/chaos', '--runInBand', ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, CHAOS: 'long', FAULT_REPORT: report },
  });
  const lines = existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n') : [];
  if (lines.length > 0) {
    const rows = lines.map((line) => JSON.parse(line));
    console.table(Object.fromEntries(rows.map(({ fault, ...figures }) => [fault, figures])));
  }
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
