// What each micro-optimisation of lib/ buys by itself: the same build with and without it, in two processes whose rounds alternate.
// `npm run build && node bench/micro.mjs [part of a name]`. What does not save 10% of a whole call goes.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startLoneMaster, startRedis } from './processes.mjs';
import { session, sessionId } from './sessions.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ROUNDS = 100;

/** The file, the code with the trick, the code without it, and the calls that it is for. */
const GET = {
  file: 'store/reads.js',
  code: /    get\(key, options\) \{[\s\S]*?\n    \}\n/,
  plain: `    async get(key, options) {
        if (options !== undefined) return this.touched(key, options);
        const copy = this.copy(key);
        if (copy) return await copy;
        return (await this.read(key))?.value;
    }\n`,
};

/** A promise for each step. */
const FETCH = {
  file: 'store/reads.js',
  code: /    fetch\(key, deadline, maySlide\) \{[\s\S]*?\n    \}\n/,
  plain: `    fetch(key, deadline, maySlide) {
        return this.read(key, deadline, maySlide).then(this.handOut, rejecting(key));
    }\n`,
};

/** A stream that is corked instead. */
const PACKET = {
  file: 'ioredis/packet.js',
  code: /export class Packet[\s\S]*/,
  plain: `export class Packet {
    constructor({ redis }) {
        this.stream = redis.stream;
        this.stream.cork();
        this.pieces = [];
    }
    write(data) {
        this.stream.write(data);
    }
}\n`,
};

const SLOT = {
  file: 'connection/topology/slot-map.js',
  code: /    return \/\[.*\.test\(key\) \? (.*) : key;/,
  plain: (_, bytes) => `return ${bytes};`,
};

const DECODE = {
  file: 'record/codec.js',
  code: /    decode\(id, bytes, until, onCorrupt[\s\S]*?\n    \}\n([\s\S]*?)    read\(id, bytes, until\) \{[\s\S]*?\n    \}\n/,
  plain: (_, between) => `    async decode(id, bytes, until, onCorrupt = this.settings.onCorrupt) {
        try {
            return await this.validate(await this.read(id, bytes, until));
        }
        catch (error) {
            return this.corrupt(error, onCorrupt);
        }
    }
${between}    async read(id, bytes, until) {
        const parts = this.parts(bytes);
        return this.deserialize(id, bytes, parts, await this.unseal(id, bytes, parts, until));
    }\n`,
};

const PARTS = {
  file: 'backend/read-batcher.js',
  code: /    get enough\(\) \{[\s\S]*?\n    \}\n/,
  plain: `    get enough() {
        return MOST_KEYS;
    }\n`,
};

const ABSENT = {
  file: 'backend/absent-keys.js',
  code: /    among\(keys\) \{[\s\S]*?\n    \}\n/,
  plain: `    among() {
        return [];
    }\n`,
};

const NONCES = {
  file: 'record/nonces.js',
  code: /    next\(\) \{[\s\S]*?\n    \}\n/,
  plain: `    next() {
        return randomBytes(NONCE_BYTES);
    }\n`,
};

/** What it replaces has nonces of 12 bytes, which are too few for random ones. */
const AEAD = {
  file: 'record/sodium.js',
  code: /    const aead = \{[\s\S]*?\n    \};\n/,
  plain: `    const { createCipheriv, createDecipheriv } = await import('node:crypto');
    const CIPHER = 'aes-256-gcm';
    const aead = {
        seal(plain, associated, nonce, key) {
            const cipher = createCipheriv(CIPHER, key, nonce.subarray(12)).setAAD(associated);
            return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
        },
        open(sealed, associated, nonce, key) {
            const cipher = createDecipheriv(CIPHER, key, nonce.subarray(12), { authTagLength: 16 }).setAAD(associated);
            cipher.setAuthTag(sealed.subarray(-16));
            const plain = cipher.update(sealed.subarray(0, -16));
            cipher.final();
            return plain;
        },
    };\n`,
};

const SCRATCH = { file: 'record/sodium.js', code: /return inScratch\(aead, sodium\)/, plain: 'return aead' };

const WALL_CLOCK = {
  file: 'store/coarse-wall-clock.js',
  code: /    at\(moment\) \{[\s\S]*?\n    \}\n/,
  plain: `    at() {
        return wallNow();
    }\n`,
};

const STRINGS = {
  file: 'ioredis/workarounds/string-speed.js',
  code: /export function quickenStrings[\s\S]*/,
  plain: 'export function quickenStrings() {}',
};

/** A Set, and the rest as it is. */
const ARRAY = {
  file: 'connection/in-flight.js',
  code: /export class InFlight[\s\S]*/,
  plain: `export class InFlight {
    #commands = new Set();
    #timer;
    #ranAt = 0;
    constructor(onExpired, onRun) {
        this.onExpired = onExpired;
        this.onRun = onRun;
    }
    get isEmpty() {
        return this.#commands.size === 0;
    }
    add(command) {
        this.#commands.add(command);
        if (this.#timer !== undefined) return;
        this.#ranAt = wallNow();
        this.#timer = this.#lookLater();
    }
    ran() {
        const before = wallNow() - this.#ranAt;
        this.#ranAt += before;
        if (this.#timer !== undefined) this.onRun(before);
    }
    has(command) {
        return this.#commands.has(command);
    }
    remove(command) {
        return this.#commands.delete(command);
    }
    removeAll() {
        const commands = [...this.#commands];
        this.#commands.clear();
        return commands;
    }
    #lookLater() {
        return setTimeout(() => {
            this.ran();
            const moment = now();
            setImmediate(() => {
                const expired = [...this.#commands].filter(({ deadline }) => deadline <= moment);
                for (const command of expired) if (this.remove(command)) this.onExpired(command);
                this.#timer = this.isEmpty ? undefined : this.#lookLater();
            });
        }, LOOK_EVERY).unref();
    }
}\n`,
};

const WRITES = {
  file: 'backend/write-batcher.js',
  code: /    set\(key, bytes, expiry, deadline\) \{[\s\S]*?\n    \}\n/,
  plain: `    set(key, bytes, expiry, deadline) {
        return this.setAlone(key, bytes, expiry, deadline);
    }\n`,
};

const TRICKS = {
  'commands in flight in an array and not in a Set (connection/in-flight.ts)': { ...ARRAY, round: 'tagged' },
  'writes that share a command (backend/write-batcher.ts)': { ...WRITES, round: 'putters' },
  'absent keys that are asked for at once, by one caller (backend/absent-keys.ts)': { ...ABSENT, round: 'absent' },
  'absent keys that are asked for at once, by many callers (backend/absent-keys.ts)': { ...ABSENT, round: 'allAbsent' },
  'writes with libsodium, not node:crypto (record/sodium.ts)': { ...AEAD, round: 'sealed' },
  'reads with libsodium, not node:crypto (record/sodium.ts)': { ...AEAD, round: 'opened' },
  'writes in one piece of memory (record/scratch-aead.ts)': { ...SCRATCH, round: 'sealed' },
  'reads in one piece of memory (record/scratch-aead.ts)': { ...SCRATCH, round: 'opened' },
  'nonces drawn in bulk (record/nonces.ts)': { ...NONCES, round: 'sealed' },
  'a wall clock that is read once in a ms (store/coarse-wall-clock.ts)': { ...WALL_CLOCK, round: 'hits' },
  'strings that are made fast again (ioredis/workarounds/string-speed.ts)': { ...STRINGS, round: 'puts' },
  'decoding at once, where nothing is to be waited for (record/codec.ts)': { ...DECODE, round: 'callers' },
  'text that leaves as one piece (ioredis/packet.ts)': { ...PACKET, round: 'asked' },
  'slots of ASCII without bytes, on a Cluster (connection/topology/slot-map.ts)': {
    ...SLOT,
    round: 'asked',
    cluster: true,
  },
  'reads that leave in parts (backend/read-batcher.ts)': { ...PARTS, round: 'callers' },
  'values that are made when their bytes come (store/reads.ts)': { ...FETCH, round: 'many' },
  'get without an async function, from the near cache (store/reads.ts)': { ...GET, round: 'hits' },
};

if (process.argv[2] === 'worker') await work(process.argv[3], process.argv[4]);
else await compare();

async function compare() {
  const home = `${ROOT}.build/micro`;
  const [wanted = ''] = process.argv.slice(2);
  try {
    for (const [name, { file, code, plain, round, cluster }] of Object.entries(TRICKS)) {
      if (!name.includes(wanted)) continue;
      const server = await (cluster ? startLoneMaster() : startRedis());
      rmSync(home, { recursive: true, force: true });
      cpSync(`${ROOT}dist`, home, { recursive: true });
      const source = readFileSync(`${home}/${file}`, 'utf8');
      const changed = source.replace(code, typeof plain === 'function' ? plain : () => plain);
      if (changed === source) throw new Error(`${name}: the code is not there any more`);
      writeFileSync(`${home}/${file}`, changed);
      const workers = [];
      for (const build of [`${ROOT}dist/index.js`, `${home}/index.js`]) {
        const worker = fork(fileURLToPath(import.meta.url), ['worker', build, server.url]);
        await once(worker, 'message');
        workers.push(worker);
      }
      const times = workers.map(() => []);
      for (let i = 0; i < ROUNDS; i++) {
        for (const at of i % 2 ? [0, 1] : [1, 0]) {
          workers[at].send(round);
          const [measured] = await once(workers[at], 'message');
          if (i >= ROUNDS / 4) times[at].push(measured);
        }
      }
      for (const worker of workers) worker.kill();
      await server.stop();
      const [time, cpu] = ['ms', 'cpu'].map((what) => {
        const [trick, without] = times.map(
          (all) => all.map((each) => each[what]).toSorted((a, b) => a - b)[all.length >> 1],
        );
        return (without / trick).toFixed(2);
      });
      console.log(`${name}: a call takes ${time} times as long without it, and ${cpu} times as much of the CPU`);
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function work(build, url) {
  await import('reflect-metadata');
  const { Module } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  const { getCacheStoreToken, RedisCacheModule, RedisCacheStore } = await import(build);
  const root = RedisCacheModule.forRoot({ url, namespace: 'micro', ttl: '30m', timeout: '10s' });
  const feature = RedisCacheModule.forFeature({ namespace: 'micro', name: 'near', ttl: '30m', nearCache: true });
  const encryption = { keys: [Buffer.alloc(32, 1)] };
  const encrypted = RedisCacheModule.forFeature({
    namespace: `sealed-${process.pid}`,
    name: 'sealed',
    ttl: '30m',
    encryption,
  });
  class AppModule {}
  Module({ imports: [root, feature, encrypted] })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  const [near, sealed] = ['near', 'sealed'].map((name) => app.get(getCacheStoreToken(name)));
  const store = app.get(RedisCacheStore);
  const values = Array.from({ length: 1000 }, (_, i) => [sessionId(i), session(i)]);
  await store.putMany(values);
  await sealed.putMany(values);
  const hundred = (call) => Promise.all(Array.from({ length: 100 }, (_, i) => call(...values[i])));
  const together = (callers, call = (key) => store.get(key)) => {
    const caller = async (first) => {
      for (let i = first; i < 4096; i += callers) await call(...values[i % 1000]);
    };
    return Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  };
  const rounds = {
    gets: async () => {
      for (let i = 0; i < 40; i++) await hundred((key) => store.get(key));
    },
    callers: () => together(64),
    many: () => together(512),
    asked: () => together(64, (key) => store.has(key)),
    putters: () => together(64, (key, value) => store.put(key, value)),
    tagged: () => together(64, (key, value) => store.put(key, value, { tags: [value.email] })),
    puts: async () => {
      for (let i = 0; i < 20; i++) await hundred((key, value) => store.put(key, value));
    },
    sealed: async () => {
      for (let i = 0; i < 20; i++) await hundred((key, value) => sealed.put(key, value));
    },
    opened: async () => {
      for (let i = 0; i < 40; i++) await hundred((key) => sealed.get(key));
    },
    absent: async () => {
      for (let i = 0; i < 400; i++) await store.get(`absent ${i}`);
    },
    allAbsent: async () => {
      for (let i = 0; i < 40; i++) await hundred((key) => store.get(`absent ${key}`));
    },
    hits: async () => {
      for (let i = 0; i < 40_000; i++) await near.get(values[i % 1000][0]);
    },
  };
  process.on('message', async (round) => {
    const [begun, before] = [performance.now(), process.cpuUsage()];
    await rounds[round]();
    const { user, system } = process.cpuUsage(before);
    process.send({ ms: performance.now() - begun, cpu: user + system });
  });
  process.send('ready');
}
