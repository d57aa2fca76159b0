// The first command of a newcomer, in a clean room: a clone in an empty folder, an empty HOME, and no variable but PATH.
// What this machine has beside the repository (links, caches, settings) must not be needed.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './processes.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** Packages are installed and the sample is compiled within this time. In ms. */
const ANSWERS_WITHIN = 300_000;

const room = mkdtempSync(join(tmpdir(), 'clean-room-'));
const clone = join(room, 'clone');
const home = join(room, 'home');
const env = { PATH: process.env['PATH'], HOME: home };
try {
  mkdirSync(home);
  git(room, 'clone', '--quiet', '--no-local', ROOT, clone);
  const problems = [...strayFiles(), ...(await startSample()), ...changes()];
  if (problems.length > 0) throw new Error(`A fresh clone does not start:\n${problems.join('\n')}`);
  console.log('clean room: a fresh clone starts, answers, and stays clean');
} finally {
  rmSync(room, { recursive: true, force: true });
}

/** Files that only work on the machine that committed them. */
function strayFiles() {
  const tracked = git(clone, 'ls-files', '-s', '-z').split('\0').filter(Boolean);
  const links = tracked.filter((entry) => entry.startsWith('120000'));
  const modules = tracked.filter((entry) => /\t(.*\/)?node_modules(\/|$)/.test(entry));
  // Homes are found by their form; the folders of this machine by their names.
  const homes = String.raw`(^|[^[:alnum:]_.~-])/(home|Users)/[[:alnum:]]`;
  const own = [dirname(ROOT), homedir()].filter((folder) => folder !== '/').map((folder) => `${escape(folder)}/`);
  const paths = grep(homes, ...own.map((folder) => `(^|[^[:alnum:]_./~-])${folder}`));
  return [
    ...links.map((entry) => `a symbolic link is tracked: ${entry}`),
    ...modules.map((entry) => `a file below node_modules is tracked: ${entry}`),
    ...paths.map((entry) => `a path of a machine stands in ${entry}`),
  ];
}

/** `npm start`, until the guard of the sample answers a stranger. */
async function startSample() {
  const port = await freePort();
  const app = spawn('npm', ['start'], { cwd: clone, env: { ...env, PORT: String(port) }, detached: true });
  let output = '';
  for (const stream of [app.stdout, app.stderr]) stream.on('data', (chunk) => (output += chunk));
  const ended = new Promise((resolve) => app.once('exit', resolve));
  const deadline = Date.now() + ANSWERS_WITHIN;
  let status = 0;
  while (status === 0 && app.exitCode === null && Date.now() < deadline) {
    await sleep(200);
    status = await fetch(`http://127.0.0.1:${port}/me`).then(
      (response) => response.status,
      () => 0,
    );
  }
  if (app.pid !== undefined && app.exitCode === null) process.kill(-app.pid, 'SIGINT');
  await ended;
  return status === 401 ? [] : [`npm start: GET /me answered ${status || 'nothing'} instead of 401\n${output}`];
}

/** What `git status` says after the run. */
function changes() {
  const dirty = git(clone, 'status', '--porcelain').trim();
  return dirty === '' ? [] : [`npm start changed the clone:\n${dirty}`];
}

/** @param {string[]} patterns extended regular expressions */
function grep(...patterns) {
  const args = ['grep', '-nIE', ...patterns.flatMap((pattern) => ['-e', pattern])];
  return spawnSync('git', args, { cwd: clone, env, encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
}

/** @param {string} text */
function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/**
 * @param {string} cwd
 * @param {string[]} args
 */
function git(cwd, ...args) {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  return stdout;
}
