// The Redis that `npm start` runs when it is given none: on this machine only, with its records kept in a folder.
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findRedisServer, freePort, spawnGuarded } from './processes.mjs';

const READY_WITHIN = 30_000;
const STOPPED_WITHIN = 10_000;

/**
 * @param {string} dir where the records lie
 * @returns {Promise<{ url: string, shared: boolean, stop: () => Promise<void> }>}
 * @throws where no server can be had
 */
export async function startPrivateRedis(dir) {
  const found = findRedisServer();
  if (found.path === undefined) throw new Error(found.problem);
  mkdirSync(dir, { recursive: true, mode: 0o700 });

  // One append-only file, one server: a second one writing to it would spoil the records of both.
  const note = join(dir, 'running.json');
  const running = readNote(note);
  if (running !== undefined && (await serverAt(running.port))?.pid === running.pid) {
    if (isAlive(running.owner)) return { url: urlOf(running.port), shared: true, stop: async () => {} };
    process.kill(running.pid, 'SIGTERM'); // left behind by a run that was killed
    await until(() => !isAlive(running.pid), STOPPED_WITHIN, 'the Redis of an earlier run does not stop');
  }

  const log = join(dir, 'redis.log');
  const port = await freePort();
  const settings = {
    bind: '127.0.0.1',
    port,
    dir,
    appendonly: 'yes',
    save: '',
    daemonize: 'no',
    logfile: log,
    'lazyfree-lazy-expire': 'yes',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawnGuarded(found.path, args, { signal: 'TERM' });
  const ended = once(server, 'exit').catch(() => {});
  const hasEnded = () => server.pid === undefined || server.exitCode !== null || server.signalCode !== null;
  const stop = async () => {
    rmSync(note, { force: true });
    if (hasEnded()) return;
    server.kill('SIGTERM');
    const impatience = setTimeout(() => server.kill('SIGKILL'), STOPPED_WITHIN);
    await ended;
    clearTimeout(impatience);
  };

  try {
    await until(
      async () => {
        if (hasEnded()) throw new Error(`${found.path} ended at once, see ${log}`);
        const answer = await serverAt(port);
        return answer?.pid === server.pid && !answer?.loading;
      },
      READY_WITHIN,
      `${found.path} does not get ready, see ${log}`,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  writeFileSync(note, JSON.stringify({ port, pid: server.pid, owner: process.pid }));
  return { url: urlOf(port), shared: false, stop };
}

/** @param {number} port */
function urlOf(port) {
  return `redis://127.0.0.1:${port}`;
}

/**
 * @param {string} file
 * @returns {{ port: number, pid: number, owner: number } | undefined}
 */
function readNote(file) {
  try {
    const { port, pid, owner } = JSON.parse(readFileSync(file, 'utf8'));
    return [port, pid, owner].every((value) => Number.isInteger(value) && value > 0) ? { port, pid, owner } : undefined;
  } catch {
    return undefined; // none, or cut short
  }
}

/**
 * Which process answers as Redis on a port: a port or a pid alone may be somebody else's by now.
 * @param {number} port
 * @returns {Promise<{ pid: number, loading: boolean } | undefined>}
 */
async function serverAt(port) {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(1000, () => socket.destroy());
  try {
    socket.write('INFO\r\nQUIT\r\n');
    let info = '';
    for await (const chunk of socket) info += chunk;
    const pid = /^process_id:(\d+)/m.exec(info)?.[1];
    return pid === undefined ? undefined : { pid: Number(pid), loading: !/^loading:0/m.test(info) };
  } catch {
    return undefined; // nobody listens
  } finally {
    socket.destroy();
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * @param {() => boolean | Promise<boolean>} condition
 * @param {number} within
 * @param {string} complaint
 */
async function until(condition, within, complaint) {
  const deadline = Date.now() + within;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(complaint);
    await sleep(25);
  }
}
