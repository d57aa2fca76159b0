// What the runs start: the one Redis server, and a process for each contender.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findRedisServer, freePort, spawnGuarded } from '../scripts/processes.mjs';

export async function startRedis(more = {}) {
  const found = findRedisServer();
  if (found.path === undefined) throw new Error(found.problem);
  const port = await freePort();
  const settings = { bind: '127.0.0.1', port, save: '', appendonly: 'no', databases: 32, dir: tmpdir() };
  const args = Object.entries({ ...settings, 'enable-debug-command': 'local', ...more });
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
  const masters = [{ port, admin }];
  return { url, admin, stop, masters, portOf: () => port };
}

const SLOTS = 16_384;

/** A master that is a Cluster by itself. */
export async function startLoneMaster() {
  const config = `bench-${process.pid}.conf`;
  const settings = { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1', 'cluster-config-file': config };
  const { url, admin, stop } = await startRedis(settings);
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, SLOTS - 1);
  await until(async () => (await admin.cluster('INFO')).includes('cluster_state:ok'));
  return {
    url: url.replace('redis:', 'redis-cluster:'),
    stop: async () => {
      await stop();
      rmSync(join(tmpdir(), config), { force: true });
    },
  };
}

/** Three masters with a replica each. */
export async function startCluster(slotOf) {
  const home = mkdtempSync(join(tmpdir(), 'bench-'));
  const start = async (_, i) => {
    const bus = await freePort();
    const settings = { 'cluster-enabled': 'yes', 'cluster-port': bus, 'cluster-config-file': `${i}.conf`, dir: home };
    return { bus, ...(await startRedis(settings)) };
  };
  const nodes = await Promise.all(Array.from({ length: 6 }, start));
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    rmSync(home, { recursive: true });
  };
  const known = (text) => async () => {
    const infos = await Promise.all(nodes.map(({ admin }) => admin.cluster('INFO')));
    return infos.every((info) => info.includes(text));
  };
  try {
    const share = SLOTS / 3;
    const masters = nodes.slice(0, 3).map(({ masters: [master] }) => master);
    await Promise.all(nodes.map(({ admin }, i) => admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)));
    const [{ bus }] = nodes;
    for (const { admin } of nodes.slice(1)) await admin.call('CLUSTER', 'MEET', '127.0.0.1', masters[0].port, bus);
    for (const [i, { admin }] of masters.entries()) {
      const [from, to] = [Math.ceil(i * share), Math.ceil((i + 1) * share) - 1];
      await admin.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
    }
    await until(known('cluster_known_nodes:6'));
    for (const [i, { admin }] of nodes.slice(3).entries()) {
      const id = await masters[i].admin.cluster('MYID');
      await until(() => admin.call('CLUSTER', 'REPLICATE', id).then(Boolean, () => false));
    }
    await until(known('cluster_state:ok'));
    const url = `redis-cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
    return { url, masters, portOf: (key) => masters[Math.floor(slotOf(key) / share)].port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Asks again and again, for ten seconds. */
export async function until(condition) {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 500) throw new Error('waited in vain');
    await sleep(20);
  }
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
