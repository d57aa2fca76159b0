// `npm run bench` (about six minutes) or `npm run bench -- --quick` (under two).
// `npm run bench -- --report` measures nothing: it writes the tables and the plot again, from results/results.json.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const newest = (dir) =>
  Math.max(...readdirSync(join(root, dir), { recursive: true }).map((file) => statSync(join(root, dir, file)).mtimeMs));

const { writeReport } = await import('./report.mjs');
const folder = new URL('results/', import.meta.url);
if (process.argv.includes('--report')) {
  await writeReport(JSON.parse(readFileSync(new URL('results.json', folder), 'utf8')), folder);
  process.exit();
}

// What is measured is what would be published, and not what was built some edits ago.
if (!existsSync(join(root, 'dist/index.js')) || newest('lib') > newest('dist')) {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
}

const { runAll } = await import('./suite.mjs');

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
await writeReport(results, folder);
console.log(`\nbench/results/results.md, results.svg and results.json, after ${Math.round(results.seconds)} s`);
