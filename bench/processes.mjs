// What the runs start: the one Redis server, and a process for each contender.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findRedisServer, freePort, spawnGuarded } from '../scripts/processes.mjs';

export async function startRedis() {
  const found = findRedisServer();
  if (found.path === undefined) throw new Error(found.problem);
  const port = await freePort();
  const settings = { bind: '127.0.0.1', port, save: '', appendonly: 'no', databases: 32, dir: tmpdir() };
  const args = Object.entries({ ...settings, 'enable-debug-command': 'local' });
  const server = spawnGuarded(
    found.path,
    args.flatMap(([name, value]) => [`--${name}`, String(value)]),
  );
  const ended = once(server, 'exit');
  const url = `redis://127.0.0.1:${port}`;
  const admin = new Redis(url, { retryStrategy: () => 50, commandTimeout: 120_000 });
  admin.on('error', () => {});
  await admin.ping();
  const stop = async () => {
    admin.disconnect();
    server.kill('SIGKILL');
    await ended;
  };
  return { url, admin, stop };
}

/** Starts a contender; `do(task, options)` has it done. Rejects with the reason where it cannot run here. */
export async function startWorker(id, url) {
  const child = fork(new URL('worker.mjs', import.meta.url), [id, url], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr.on('data', (chunk) => (complaints = (complaints + chunk).slice(-4_000)));
  const calls = new Map();
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const ready = withResolvers();
  child.on('message', (message) => {
    if (message.ready) return ready.resolve(message);
    const { resolve, reject } = calls.get(message.call);
    calls.delete(message.call);
    if (message.error) reject(new Error(message.error));
    else resolve(message.result);
  });
  void exited.then(() => {
    const gone = new Error(reasonOf(complaints) ?? `${id} ended`);
    ready.reject(gone);
    for (const { reject } of calls.values()) reject(gone);
  });
  const late = setTimeout(() => ready.reject(new Error('not ready within 30 s')), 30_000);
  const { name, local } = await ready.promise
    .finally(() => clearTimeout(late))
    .catch((error) => {
      child.kill('SIGKILL');
      throw error;
    });
  let last = 0;
  return {
    id,
    name,
    local,
    do: (task, options) =>
      new Promise((resolve, reject) => {
        const call = ++last;
        calls.set(call, { resolve, reject });
        child.send({ task, options, call });
      }),
    stop: async () => {
      if (child.connected) child.disconnect();
      await Promise.race([exited, sleep(4_000, undefined, { ref: false })]);
      child.kill('SIGKILL');
    },
  };
}

/** As Promise.withResolvers of newer Nodes. */
function withResolvers() {
  let resolvers;
  const promise = new Promise((resolve, reject) => (resolvers = { resolve, reject }));
  return { promise, ...resolvers };
}

/** The line of a stack trace that says what was wrong. */
function reasonOf(stderr) {
  return /^(?:\w*Error\b|.*?\[?ERR_\w+).*$/m.exec(stderr)?.[0] ?? stderr.trim().split('\n')[0] ?? undefined;
}
