// What a fleet of instances with near caches costs one Redis server: by key against broadcast, over raw sockets.
// Usage: node fleet.mjs [operations of the mixed load, default 40000] [instances, default 10 50 200]
import { connect } from 'node:net';
import { startRedis } from './processes.mjs';
import { percentile } from './statistics.mjs';

const [operations = 40_000, ...counts] = process.argv.slice(2).map(Number);
const FLEETS = counts.length > 0 ? counts : [10, 50, 200];
const SESSIONS = 200;
const VALUE = 'x'.repeat(300);
const CALLERS = 32;
/** Instances that hold the key of a measured write, and how many such writes there are. */
const HOLDERS = 3;
const WRITES = 2000;
const keyOf = (i) => `session:${String(i).padStart(32, '0')}`;

/** A connection that speaks RESP2: replies in their order, and the pushed messages of a subscriber. */
class Wire {
  static async open(port, onPush) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Wire(socket, onPush);
  }

  received = 0;
  #rest = '';
  #waiting = [];

  constructor(socket, onPush) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received += chunk.length;
      this.#rest += chunk.toString('latin1');
      for (let found; (found = parse(this.#rest, 0)) !== undefined;) {
        this.#rest = this.#rest.slice(found.end);
        if (Array.isArray(found.value) && found.value[0] === 'message') onPush(found.value[2]);
        else this.#waiting.shift()?.(found.value);
      }
    });
  }

  /** Commands in one write; the reply of the last. */
  send(...commands) {
    this.socket.write(commands.map(encode).join(''));
    return new Promise((resolve) => {
      for (let i = 1; i < commands.length; i++) this.#waiting.push(() => undefined);
      this.#waiting.push(resolve);
    });
  }
}

/** An instance of an application: a connection for reads and writes, a feed, and local copies. */
class Instance {
  static async start(port, mode) {
    const instance = new Instance();
    instance.mode = mode;
    instance.data = await Wire.open(port, () => undefined);
    instance.feed = await Wire.open(port, (keys) => instance.onPush(keys));
    const id = await instance.feed.send(['CLIENT', 'ID']);
    const bcast = ['CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', 'PREFIX', 'session:'];
    if (mode === 'broadcast') await instance.feed.send(bcast);
    await instance.feed.send(['SUBSCRIBE', '__redis__:invalidate']);
    if (mode === 'by key') await instance.data.send(['CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'OPTIN']);
    return instance;
  }

  copies = new Set();
  onDropped = () => undefined;

  onPush(keys) {
    for (const key of keys) {
      this.copies.delete(key);
      this.onDropped(key);
    }
  }

  /** Whether it was answered from a local copy. */
  async read(key) {
    if (this.copies.has(key)) return true;
    const get = ['GET', key];
    await (this.mode === 'by key' ? this.data.send(['CLIENT', 'CACHING', 'YES'], get) : this.data.send(get));
    this.copies.add(key);
    return false;
  }

  write(key) {
    return this.data.send(['SET', key, VALUE]);
  }

  stop() {
    this.data.socket.destroy();
    this.feed.socket.destroy();
  }
}

async function cpuOf(admin) {
  const info = await admin.info('cpu');
  const [user, system] = ['user', 'sys'].map((kind) => Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(info)[1]));
  return (user + system) * 1e6;
}

const pushedTo = (fleet) => fleet.reduce((sum, { feed }) => sum + feed.received, 0);

/** One write after the other of a key that so many instances hold. */
async function fixed(fleet, admin) {
  const key = keyOf(0);
  const holders = fleet.slice(1, 1 + HOLDERS);
  const times = [];
  const cpu = await cpuOf(admin);
  const pushed = pushedTo(fleet);
  for (let i = 0; i < WRITES; i++) {
    await Promise.all(holders.map((holder) => holder.read(key)));
    const dropped = holders.map((holder) => new Promise((resolve) => (holder.onDropped = resolve)));
    const acknowledged = fleet[0].write(key).then(() => performance.now());
    await Promise.all(dropped);
    const done = performance.now();
    times.push(Math.max(0, done - (await acknowledged)));
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  const sorted = times.toSorted((a, b) => a - b);
  return {
    'bytes/write': (pushedTo(fleet) - pushed) / WRITES,
    'µs CPU/write': ((await cpuOf(admin)) - cpu) / WRITES,
    'revoked p50 (ms)': percentile(sorted, 0.5),
    'revoked p99 (ms)': percentile(sorted, 0.99),
  };
}

/** Sessions read and written by instances at random. */
async function mixed(fleet, admin, share) {
  let [hits, reads, writes, left] = [0, 0, 0, operations];
  const pushed = pushedTo(fleet);
  const cpu = await cpuOf(admin);
  const begun = performance.now();
  const caller = async () => {
    while (left-- > 0) {
      const instance = fleet[Math.floor(Math.random() * fleet.length)];
      const key = keyOf(Math.floor(Math.random() * SESSIONS));
      if (Math.random() < share) {
        writes++;
        await instance.write(key);
      } else {
        reads++;
        if (await instance.read(key)) hits++;
      }
      if (left % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const seconds = (performance.now() - begun) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return {
    'hit rate': hits / reads,
    'writes/s': writes / seconds,
    'bytes/write': (pushedTo(fleet) - pushed) / writes,
    'µs CPU/operation': ((await cpuOf(admin)) - cpu) / operations,
  };
}

const { url, admin, stop } = await startRedis();
const port = Number(new URL(url).port);
const rows = [];
for (const size of FLEETS) {
  for (const mode of ['by key', 'broadcast']) {
    await admin.flushall();
    const fleet = await Promise.all(Array.from({ length: size }, () => Instance.start(port, mode)));
    for (let i = 0; i < SESSIONS; i++) await fleet[0].write(keyOf(i));
    rows.push({ load: `${HOLDERS} holders`, size, mode, ...(await fixed(fleet, admin)) });
    for (const share of [0.01, 0.1]) {
      for (const instance of fleet) instance.copies.clear();
      rows.push({ load: `${share * 100} % writes`, size, mode, ...(await mixed(fleet, admin, share)) });
    }
    for (const instance of fleet) instance.stop();
  }
}
await stop();
const round = (value) => (typeof value === 'number' ? Number(value.toPrecision(3)) : value);
console.table(rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, round(value)]))));

function encode(words) {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

/** A reply and where it ends; `undefined`: it is not whole yet. */
function parse(text, at) {
  const end = text.indexOf('\r\n', at);
  if (end < 0) return undefined;
  const line = text.slice(at + 1, end);
  const next = end + 2;
  switch (text[at]) {
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end: next };
      return text.length < next + length + 2
        ? undefined
        : { value: text.slice(next, next + length), end: next + length + 2 };
    }
    case '*': {
      const value = [];
      let from = next;
      for (let i = 0; i < Number(line); i++) {
        const part = parse(text, from);
        if (!part) return undefined;
        value.push(part.value);
        from = part.end;
      }
      return { value: Number(line) < 0 ? null : value, end: from };
    }
    case ':':
      return { value: Number(line), end: next };
    case '-':
      throw new Error(line);
    default:
      return { value: line, end: next };
  }
}
