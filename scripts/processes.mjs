// What the set-up, `npm start` and the tests share: finding programs, and starting ones that never outlive us.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';

/** PXAT and ZADD GT need it. */
const OLDEST_SERVER = 6.2;

/**
 * The first of the named programs that is on PATH.
 * @param {...string} names
 * @returns {string | undefined} its full path
 */
export function findExecutable(...names) {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * A browser for tests of pages. Where there is none they are skipped by name: set-up installs one on Debian as root only.
 * @returns {string | undefined}
 */
export function findChromium() {
  return findExecutable('chromium', 'chromium-browser', 'google-chrome');
}

/**
 * A Redis or Valkey server that is new enough: the one that REDIS_SERVER is the path of, or one on PATH.
 * @returns {{ path: string, version: number } | { path: undefined, version?: undefined, problem: string }}
 */
export function findRedisServer() {
  /** @type {string[]} */
  const tooOld = [];
  const given = process.env['REDIS_SERVER'];
  const paths = given ? [given] : ['redis-server', 'valkey-server'].map((name) => findExecutable(name));
  for (const path of paths) {
    if (path === undefined) continue;
    const said = /v=(\d+\.\d+)/.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '');
    const version = Number(said?.[1]);
    if (version >= OLDEST_SERVER) return { path, version };
    tooOld.push(`${path} is ${said === null ? 'of an unknown version' : `version ${said[1]}`}`);
  }
  const found = tooOld.length > 0 ? tooOld.join(', ') : 'neither redis-server nor valkey-server is on PATH';
  return { path: undefined, problem: `${found}; version ${OLDEST_SERVER} or newer is needed` };
}

// `read` returns when the other end of its stdin closes, and the kernel closes that however we die, SIGKILL included.
const GUARD = 'read -r _; kill -s "$0" "$1" 2>/dev/null; [ -z "$2" ] || rm -rf -- "$2"';

/**
 * Starts a process in a group of its own (Ctrl-C in the terminal reaches us alone, and we decide what to pass on),
 * with a shell beside it that ends it should we die without having done so.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ stdio?: 'ignore' | 'inherit', env?: NodeJS.ProcessEnv, signal?: 'KILL' | 'TERM', removeDir?: string }} [options]
 *   signal: what the guard sends; removeDir: a temporary folder it removes then
 */
export function spawnGuarded(command, args, { stdio = 'ignore', env = process.env, signal = 'KILL', removeDir } = {}) {
  const child = spawn(command, args, { stdio, env, detached: true });
  if (child.pid === undefined) return child; // it could not be started: its 'error' event says why
  const guard = spawn('sh', ['-c', GUARD, signal, String(child.pid), removeDir ?? ''], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => {});
  guard.stdin.on('error', () => {});
  guard.unref();
  /** @type {import('node:net').Socket} */ (guard.stdin).unref();
  // The guard goes first: its pid may be given to a stranger as soon as the child is gone.
  child.once('exit', () => {
    guard.kill('SIGKILL');
    guard.stdin.destroy();
  });
  return child;
}

/**
 * A port that is free on 127.0.0.1 at this moment. It lies below the range that the kernel takes the ports of outgoing
 * connections from: in that range a client that keeps trying to reach a server which is down ends up connected to
 * itself, or takes the port that the server is about to come back on.
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
      return port;
    } catch {
      // taken: try another
    }
  }
}
