// What .ci/run runs, in the order of what fails fastest. Each leg counts its tests, or is one by itself; the last line adds them up.
// Two whole runs of the suite cover the ends of what is supported: Node, Redis, and ioredis.
import { spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { debianServer } from './debian-server.mjs';
import { newestNode } from './npm-tool.mjs';

/** No leg may take longer. In ms. */
const LONGEST = 25 * 60_000;

/** @typedef {{ passed: number, failed: number }} Count */
/** @type {[name: string, count: Count][]} */
const results = [];

await leg('a fresh clone starts', 'node scripts/clean-room.mjs');
await leg('format, lint, types', 'npm run --silent check');
await leg('build', 'npm run --silent build');
await leg('package', 'npm run --silent check:package');
await leg('consumers', 'npm run --silent test:consumers');

const newest = { ...have('Node 24', () => nodeFirst(newestNode())), ...have('Redis 8', () => server('redis')) };
await suite('suite on the newest Node and Redis', newest);
await suite('suite on this Node and Redis, with ioredis 5', { IOREDIS: '5' });
const valkey = have('Valkey 8: contracts', () => server('valkey'));
if (valkey !== undefined) {
  await suite('contracts on Valkey', valkey, 'test/contract');
}

await leg('no tracked file was changed, none was left', 'git status --porcelain; [ -z "$(git status --porcelain)" ]');

console.log('');
for (const [name, { passed, failed }] of results) console.log(`${name}: ${passed} passed, ${failed} failed`);
const total = results.reduce((sum, [, each]) => add(sum, each), { passed: 0, failed: 0 });
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 2;

/**
 * @param {string} name
 * @param {string} command for a shell
 * @param {NodeJS.ProcessEnv} [env] on top of ours
 */
async function leg(name, command, env = {}) {
  console.log(`\n== ${name}`);
  const child = spawn('sh', ['-c', command], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true, // a group of its own, all of which can be ended
  });
  const end = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), LONGEST);
  let output = '';
  child.stdout.on('data', (chunk) => {
    process.stdout.write(chunk);
    output += chunk;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(end);
  results.push([name, countOf(output, code === 0)]);
}

/**
 * Files that fail run once more, by themselves: faults are real here, and so is the time of a busy machine. The report names a leg
 * that was unsteady, so that nobody takes it for a good one.
 * @param {string} name
 * @param {NodeJS.ProcessEnv} env
 * @param {string} [paths]
 */
async function suite(name, env, paths = '') {
  await leg(name, `npm test --silent -- ${paths}`, env);
  const first = results.at(-1)?.[1];
  if (first === undefined || first.failed === 0) return;
  await leg(name, 'npm test --silent -- --onlyFailures', env);
  const again = results.at(-1)?.[1] ?? first;
  const count = { passed: first.passed + again.passed, failed: again.failed };
  results.splice(-2, 2, [`${name} (UNSTEADY: ${first.failed} failed in the first run)`, count]);
}

/**
 * @param {string} output
 * @param {boolean} succeeded by the exit code, which holds whatever the last line says
 * @returns {Count}
 */
function countOf(output, succeeded) {
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/.exec(last) ?? [];
  if (passed === undefined) return succeeded ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  return { passed: Number(passed), failed: succeeded ? Number(failed) : Math.max(1, Number(failed)) };
}

/**
 * @param {Count} one
 * @param {Count} other
 */
function add(one, other) {
  return { passed: one.passed + other.passed, failed: one.failed + other.failed };
}

/**
 * The environment for what a machine may lack: without it the leg runs on what there is, or not at all, and says so.
 * @param {string} what
 * @param {() => NodeJS.ProcessEnv} find
 */
function have(what, find) {
  try {
    return find();
  } catch (error) {
    console.log(`\n== skipped: ${what}. ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** @param {string} folder */
function nodeFirst(folder) {
  return { PATH: `${folder}${delimiter}${process.env['PATH']}` };
}

/** @param {'redis' | 'valkey'} name */
function server(name) {
  return { REDIS_SERVER: debianServer(name) };
}
