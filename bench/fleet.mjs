// What a fleet of instances with near caches costs Redis: tracking by key against broadcasting.
// Usage: npm run build && node bench/fleet.mjs [server | cluster]; writes results/fleet-….md, which docs/near-cache.md shows.
// Most instances are simulated over raw sockets, PACKAGES of them are the package.
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import prettier from 'prettier';
import { slotOfKey } from '../dist/connection/topology/slot-map.js';
import { openStore } from './contenders/own.mjs';
import { startCluster, startRedis, until } from './processes.mjs';
import { Wire } from './wire.mjs';
import { session } from './sessions.mjs';
import { percentile } from './statistics.mjs';

const [where = 'server'] = process.argv.slice(2);
const FLEETS = [10, 50, 200];
const PACKAGES = 2;
const ROUNDS = 6;
/** Instances that hold the key of a measured write, and how many such writes there are in each round. */
const HOLDERS = 3;
const WRITES = 900;
const WARM_UP = 90;
/** Of the mixed load, in one round. */
const OPERATIONS = 30_000;
const SESSIONS = 200;
const CALLERS = 32;
const NAMESPACE = 'session';
const idOf = (i) => String(i).padStart(32, '0');
const keyOf = (i) => `${NAMESPACE}:${idOf(i)}`;

/** Sockets of the package, by their local ports. */
const sockets = new Set();
subscribe('net.client.socket', ({ socket }) => sockets.add(socket));
let fills = 0;
let onPackageDropped = () => undefined;
subscribe('nestjs-redis-cache-store:near-cache', ({ event }) => {
  if (event === 'fill') fills++;
  if (event === 'invalidation') onPackageDropped();
});

/** An instance over raw sockets: to each server a connection for reads and writes, and a feed; and local copies. */
class RawInstance {
  static async start(servers, mode, record) {
    const instance = new RawInstance();
    Object.assign(instance, { servers, mode, record });
    for (const { port } of servers.masters) {
      const data = await Wire.open(port, () => undefined);
      const feed = await Wire.open(port, (keys) => instance.#drop(keys));
      const id = String(await feed.send(['CLIENT', 'ID']));
      const tracking = ['CLIENT', 'TRACKING', 'ON', 'REDIRECT', id];
      if (mode === 'broadcast') await feed.send([...tracking, 'BCAST', 'PREFIX', `${NAMESPACE}:`]);
      await feed.send(['SUBSCRIBE', '__redis__:invalidate']);
      if (mode === 'by key') await data.send([...tracking, 'OPTIN']);
      instance.#links.set(port, { data, feed });
    }
    return instance;
  }

  onDropped = () => undefined;
  #copies = new Set();
  #links = new Map();

  get pushed() {
    return [...this.#links.values()].reduce((sum, { feed }) => sum + feed.received, 0);
  }

  /** Whether it was answered from a local copy. */
  async read(i) {
    const key = keyOf(i);
    if (this.#copies.has(key)) return true;
    const { data } = this.#links.get(this.servers.portOf(key));
    await data.send(...(this.mode === 'by key' ? [['CLIENT', 'CACHING', 'YES']] : []), ['GET', key]);
    this.#copies.add(key);
    return false;
  }

  write(i) {
    const key = keyOf(i);
    return this.#links.get(this.servers.portOf(key)).data.send(['SET', key, this.record]);
  }

  forget() {
    this.#copies.clear();
  }

  stop() {
    for (const { data, feed } of this.#links.values()) for (const { socket } of [data, feed]) socket.destroy();
  }

  #drop(keys) {
    for (const key of keys) {
      this.#copies.delete(key);
      this.onDropped(key);
    }
  }
}

/** An instance of the package. */
class PackageInstance {
  static async start(servers) {
    const instance = new PackageInstance();
    // So long that proofs of freshness do not count.
    const own = { namespace: NAMESPACE, nearCache: { lease: '1m' }, heartbeat: '1m' };
    const isOpen = new Set(sockets);
    instance.#client = await openStore(servers.url, own);
    await until(async () => {
      const feeds = (
        await Promise.all(servers.masters.map(({ admin }) => admin.client('LIST', 'TYPE', 'pubsub')))
      ).join('\n');
      const ports = new Set(Array.from(feeds.matchAll(/ addr=\S+:(\d+)/g), ([, port]) => Number(port)));
      instance.#feeds = [...sockets].filter((socket) => !isOpen.has(socket) && ports.has(socket.localPort));
      return instance.#feeds.length === servers.masters.length;
    });
    await sleep(200); // the first proofs
    return instance;
  }

  #client;
  #feeds = [];

  get pushed() {
    return this.#feeds.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  }

  set onDropped(listener) {
    onPackageDropped = listener;
  }

  async read(i) {
    const before = fills;
    await this.#client.get(idOf(i));
    return fills === before;
  }

  write(i) {
    return this.#client.put(idOf(i), session(0));
  }

  forget() {}

  stop() {
    return this.#client.close();
  }
}

async function cpuOf({ masters }) {
  let sum = 0;
  for (const { admin } of masters) {
    const info = await admin.info('cpu');
    for (const kind of ['user', 'sys']) sum += Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(info)[1]);
  }
  return sum * 1e6;
}

const pushedTo = (fleet) => fleet.reduce((sum, { pushed }) => sum + pushed, 0);

/** One write after the other of three keys that so many instances hold; the first writes do not count. */
async function fixed(fleet, servers, times) {
  const writer = fleet.at(-1);
  // Of the package only one: an invalidation does not say whose copy it was.
  const holders = [fleet[0], ...fleet.slice(PACKAGES, PACKAGES + HOLDERS - 1)];
  let [cpu, pushed] = [0, 0];
  for (let i = -WARM_UP; i < WRITES; i++) {
    if (i === 0) [cpu, pushed] = [await cpuOf(servers), pushedTo(fleet)];
    const at = (i + WARM_UP) % 3;
    for (const holder of holders) await holder.read(at);
    const dropped = holders.map((holder) => new Promise((resolve) => (holder.onDropped = resolve)));
    const acknowledged = writer.write(at).then(() => performance.now());
    await Promise.all(dropped);
    const done = performance.now();
    if (i >= 0) times.push(Math.max(0, done - (await acknowledged)));
  }
  await sleep(100);
  return { bytes: (pushedTo(fleet) - pushed) / WRITES, cpu: ((await cpuOf(servers)) - cpu) / WRITES };
}

/** Sessions read and written by instances at random. */
async function mixed(fleet, servers, share) {
  for (const instance of fleet) instance.forget();
  let [hits, reads, writes, left] = [0, 0, 0, OPERATIONS];
  const [cpu, pushed, begun] = [await cpuOf(servers), pushedTo(fleet), performance.now()];
  const caller = async () => {
    while (left-- > 0) {
      const instance = fleet[Math.floor(Math.random() * fleet.length)];
      const i = Math.floor(Math.random() * SESSIONS);
      if (Math.random() < share) {
        writes++;
        await instance.write(i);
      } else {
        reads++;
        if (await instance.read(i)) hits++;
      }
      if (left % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const seconds = (performance.now() - begun) / 1000;
  await sleep(100);
  return {
    hits: hits / reads,
    perSecond: writes / seconds,
    bytes: (pushedTo(fleet) - pushed) / writes,
    cpu: ((await cpuOf(servers)) - cpu) / OPERATIONS,
  };
}

async function open(servers, mode, size, record) {
  const fleet = [];
  if (mode === 'by key') for (let i = 0; i < PACKAGES; i++) fleet.push(await PackageInstance.start(servers));
  while (fleet.length < size) fleet.push(await RawInstance.start(servers, mode, record));
  return fleet;
}

const servers = await (where === 'cluster' ? startCluster(slotOfKey) : startRedis());
const begun = performance.now();
const rows = FLEETS.flatMap((size) => ['by key', 'broadcast'].map((mode) => ({ size, mode, times: [], rounds: [] })));
try {
  const writer = await PackageInstance.start(servers);
  for (let i = 0; i < SESSIONS; i++) await writer.write(i);
  const reader = await Wire.open(servers.portOf(keyOf(0)), () => undefined);
  const record = await reader.send(['GET', keyOf(0)]);
  reader.socket.destroy();
  await writer.stop();
  for (let round = 0; round < ROUNDS; round++) {
    for (const row of [...rows.slice(round), ...rows.slice(0, round)]) {
      const fleet = await open(servers, row.mode, row.size, record);
      row.rounds.push(await fixed(fleet, servers, row.times));
      if (round === 0) row.mixed = [await mixed(fleet, servers, 0.01), await mixed(fleet, servers, 0.1)];
      for (const instance of fleet) await instance.stop();
      sockets.clear();
    }
    console.log(`round ${round + 1} of ${ROUNDS}: ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  }
} finally {
  await servers.stop();
}
const text = await prettier.format(report(), { parser: 'markdown', printWidth: 120 });
writeFileSync(new URL(`results/fleet-${where}.md`, import.meta.url), text);
console.log(text);

function report() {
  const median = (values) =>
    percentile(
      values.toSorted((a, b) => a - b),
      0.5,
    );
  const number = (value) => Number(value.toPrecision(3)).toLocaleString('en');
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const table = (head, lines) => [line(head), line(head.map(() => '--:')), ...lines.map(line)].join('\n');
  const writes = rows.map(({ size, mode, rounds, times }) => {
    const sorted = times.toSorted((a, b) => a - b);
    const gone = [0.5, 0.99].map((share) => percentile(sorted, share).toFixed(2)).join(' / ');
    return [
      size,
      mode,
      number(median(rounds.map(({ bytes }) => bytes))),
      number(median(rounds.map(({ cpu }) => cpu))),
      gone,
    ];
  });
  const loads = rows.flatMap(({ size, mode, mixed: loaded }) =>
    loaded.map(({ hits, perSecond, bytes, cpu }, i) => {
      return [
        size,
        mode,
        ['1 %', '10 %'][i],
        `${Math.round(hits * 100)} %`,
        number(perSecond),
        number(bytes),
        number(cpu),
      ];
    }),
  );
  return [
    `A write of a key of ${keyOf(0).length} bytes that ${HOLDERS} instances hold, each of which reads it again afterwards. Medians of ${ROUNDS} interleaved rounds of ${WRITES} writes; the times are of all rounds.`,
    table(
      [
        'instances',
        'tracking',
        'bytes pushed for each write',
        'CPU of Redis for a write and the reads after it (µs)',
        'copies gone after the acknowledgement, p50 / p99 (ms)',
      ],
      writes,
    ),
    `${SESSIONS} sessions, read and written by instances at random; ${OPERATIONS.toLocaleString('en')} operations by ${CALLERS} callers.`,
    table(
      [
        'instances',
        'tracking',
        'writes',
        'hits',
        'writes a second',
        'bytes pushed for each write',
        'CPU of Redis for each operation (µs)',
      ],
      loads,
    ),
  ].join('\n\n');
}
