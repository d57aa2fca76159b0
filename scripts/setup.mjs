// Runs before `npm start` and `npm test`, on a fresh clone too: nothing but Node's own modules may be imported here.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium, findExecutable, findRedisServer } from './processes.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const purpose = process.argv[2] === 'start' ? 'start' : 'test';

checkNode();
installPackages();
if (purpose === 'test' || !process.env['REDIS_URL']) ensureServer();
if (purpose === 'test') ensureOpenssl();
if (purpose === 'test' && findChromium() === undefined) installTools({ apt: 'chromium' });

function checkNode() {
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const supported = engines.node.split('||').some((/** @type {string} */ range) => {
    const [, operator, wantedMajor, wantedMinor = '0'] = /^\s*(\^|>=)(\d+)(?:\.(\d+))?/.exec(range) ?? [];
    if (major === Number(wantedMajor)) return minor >= Number(wantedMinor);
    return operator === '>=' && major > Number(wantedMajor);
  });
  if (!supported) fail(`This is Node ${process.versions.node}; the package needs ${engines.node}.`);
}

function installPackages() {
  const installed = join(ROOT, 'node_modules', '.package-lock.json');
  const upToDate =
    existsSync(installed) &&
    ['package.json', 'package-lock.json'].every((name) => modified(join(ROOT, name)) <= modified(installed));
  if (upToDate) return;
  say('installing packages (npm install)');
  // Not `npm ci`: a lock file lacks the bindings of platforms it was not made on, and `npm ci` refuses to add them.
  // Not saved: a fresh clone must stay as it is.
  const npm = process.env['npm_execpath'];
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const status = npm ? run(process.execPath, [npm, ...args]) : run('npm', args);
  if (status !== 0) fail('npm install failed, see above.');
  const now = new Date();
  if (existsSync(installed)) utimesSync(installed, now, now); // npm leaves it alone when there was nothing to do
}

function ensureServer() {
  if (findRedisServer().path !== undefined) return;
  installTools({ apt: 'redis-server', brew: 'redis' });
  const server = findRedisServer();
  if (server.path !== undefined) return;
  const advice = [
    `No Redis server to run: ${server.problem}. Install one, then try again:`,
    '  Debian, Ubuntu   sudo apt-get update && sudo apt-get install redis-server',
    '  Fedora           sudo dnf install valkey',
    '  Alpine           apk add redis',
    '  macOS            brew install redis',
    '  elsewhere        https://redis.io/docs/latest/operate/oss_and_stack/install/',
  ].join('\n');
  if (purpose === 'test') {
    fail(`${advice}\nThe tests start servers of their own on free ports; REDIS_URL does not replace them.`);
  }
  say(`${advice}\nOr point REDIS_URL at a server (docker compose up -d). Without one the sample runs on memory:`);
}

function ensureOpenssl() {
  if (findExecutable('openssl') !== undefined) return;
  installTools({ apt: 'openssl', brew: 'openssl' });
  if (findExecutable('openssl') === undefined) {
    fail('The TLS tests make their certificates with the openssl command: install it, then try again.');
  }
}

/** @param {{ apt: string, brew?: string }} names brew: not everything is to be had there */
function installTools({ apt, brew }) {
  if (process.platform === 'darwin') {
    if (brew === undefined || findExecutable('brew') === undefined) return;
    say(`installing ${brew} (brew)`);
    run('brew', ['install', brew]);
  } else if (process.getuid?.() === 0 && findExecutable('apt-get') !== undefined) {
    say(`installing ${apt} (apt-get)`);
    withoutServices(() => {
      run('apt-get', ['-qq', 'update']);
      run('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', apt]);
    });
  }
}

/**
 * Debian starts a service as soon as it is installed. We want the program only; exit code 101 of this hook says so.
 * @param {() => void} action
 */
function withoutServices(action) {
  const hook = '/usr/sbin/policy-rc.d';
  if (existsSync(hook)) return action();
  const removeHook = () => rmSync(hook, { force: true });
  process.once('SIGINT', removeHook); // a listener keeps Ctrl-C from ending us before the hook is gone
  writeFileSync(hook, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    action();
  } finally {
    removeHook();
    process.off('SIGINT', removeHook);
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { cwd: ROOT, env, stdio: 'inherit', shell: process.platform === 'win32' }).status;
}

/** @param {string} file */
function modified(file) {
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}

/** @param {string} text */
function say(text) {
  console.log(`set-up: ${text}`);
}

/**
 * @param {string} text
 * @returns {never}
 */
function fail(text) {
  console.error(`set-up: ${text}`);
  process.exit(1);
}
