// `npm start`: compiles and runs the sample. It uses the Redis of REDIS_URL; without one it starts its own, whose
// records lie in .redis/ and are there again after a restart; and where there is no server to start, `memory:`.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPrivateRedis } from './private-redis.mjs';
import { spawnGuarded } from './processes.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NEST = join(ROOT, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
const ENTRY = join(ROOT, '.build', 'sample', '01-session-guard', 'main.js');
const STOPPED_WITHIN = 10_000;

const compiled = spawnSync(process.execPath, [NEST, 'build'], { cwd: ROOT, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

/** @type {import('node:child_process').ChildProcess | undefined} */
let app;
let stopping = false;
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => pass(signal));
// npm passes a SIGTERM on to the shell between us and it, which dies of it and tells nobody.
const parent = process.ppid;
setInterval(() => process.ppid !== parent && pass('SIGTERM'), 500).unref();

const { url, stop } = await chooseRedis();
let code = 0;
if (!stopping) {
  const env = { ...process.env, REDIS_URL: url, PORT: process.env['PORT'] ?? '3000' };
  app = spawnGuarded(process.execPath, ['--enable-source-maps', ENTRY], { stdio: 'inherit', env, signal: 'TERM' });
  code = await exitCode(app);
}
await stop();
process.exit(code);

/** @param {'SIGINT' | 'SIGTERM' | 'SIGHUP'} signal */
function pass(signal) {
  if (stopping) return; // Ctrl-C reaches us twice: from the terminal, and passed on by npm
  stopping = true;
  app?.kill(signal);
  setTimeout(() => app?.kill('SIGKILL'), STOPPED_WITHIN).unref();
}

/** @returns {Promise<{ url: string, stop: () => Promise<void> }>} */
async function chooseRedis() {
  const given = process.env['REDIS_URL'];
  if (given) {
    console.log('Redis: the one that REDIS_URL names');
    return { url: given, stop: async () => {} };
  }
  try {
    const redis = await startPrivateRedis(join(ROOT, '.redis'));
    const whose = redis.shared ? 'shared with the `npm start` that runs here already' : 'a private one';
    console.log(`Redis: ${whose}, ${redis.url}; sessions are kept in .redis/ and survive a restart`);
    return redis;
  } catch (error) {
    console.log(`Redis: none. ${String(error)}`);
    console.log('The sample runs on memory: and forgets its sessions when it stops.');
    return { url: 'memory:', stop: async () => {} };
  }
}

/**
 * The exit code of the sample: its own; 0 if it ended because we passed a signal on to it; as a shell says it otherwise.
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number>}
 */
async function exitCode(child) {
  await once(child, 'exit');
  if (child.exitCode !== null) return child.exitCode;
  return stopping || child.signalCode === null ? 0 : 128 + constants.signals[child.signalCode];
}
