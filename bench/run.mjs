// `npm run bench` (about six minutes) or `npm run bench -- --quick` (under two).
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const newest = (dir) =>
  Math.max(...readdirSync(join(root, dir), { recursive: true }).map((file) => statSync(join(root, dir, file)).mtimeMs));

// What is measured is what would be published, and not what was built some edits ago.
if (!existsSync(join(root, 'dist/index.js')) || newest('lib') > newest('dist')) {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
}

const { runAll } = await import('./suite.mjs');
const { writeReport } = await import('./report.mjs');

const quick = process.argv.includes('--quick');
const results = await runAll(
  quick
    ? {
        quick,
        rounds: 3,
        ms: 150,
        warmUp: 150,
        foreign: 100_000,
        passes: 3,
        probes: 60,
        http: { rounds: 1, seconds: 2 },
      }
    : {
        quick,
        rounds: 11,
        ms: 350,
        warmUp: 500,
        foreign: 1_000_000,
        passes: 5,
        probes: 300,
        http: { rounds: 3, seconds: 2 },
      },
);
await writeReport(results, new URL('results/', import.meta.url));
console.log(`\nbench/results/results.md, results.svg and results.json, after ${Math.round(results.seconds)} s`);
