// One contender in a process of its own, so that no contender pays for another's garbage or type feedback.
// Does what the messages of run.mjs ask, one at a time.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { contenders, load } from './contenders/index.mjs';
import { session, sessionId, TTL } from './sessions.mjs';

const [id, url] = process.argv.slice(2);
const { name, open } = await load(id);
const client = await open(url);

const RECORDS = 1_000;
const ids = Array.from({ length: RECORDS }, (_, i) => sessionId(i));
const values = ids.map((_, i) => session(i));
// One cursor for all callers: no two of them ask for the same record at once, which would favour whoever shares reads.
let cursor = 0;
const next = () => (cursor = (cursor + 1) % RECORDS);

const check = (at, value) => {
  if (value?.userId !== values[at].userId) throw new Error(`${name} gave the wrong session`);
};
const read = async (at) => check(at, await client.get(ids[at]));
const write = (at) => client.put(ids[at], values[at], TTL);

const operations = {
  put: () => write(next()),
  mixed: () => {
    const at = next();
    // Every 20th: 5% writes. 1,000 is a multiple of 20, so the offset moves on by one with every walk.
    return (at + walks()) % 20 === 0 ? write(at) : read(at);
  },
};
let calls = 0;
const walks = () => Math.floor(calls++ / RECORDS);

/** Keeps `callers` calls going for `ms`; calls per second, and microseconds of this process' CPU for each. */
async function measure({ operation, callers, ms }) {
  const run = operations[operation];
  let done = 0;
  const cpu = process.cpuUsage();
  const start = performance.now();
  const end = start + ms;
  const caller = async () => {
    for (let n = 1; ; n++) {
      // Reads without a function in between, which would be a good part of what a local hit takes.
      if (operation === 'get') {
        const at = next();
        check(at, await client.get(ids[at]));
      } else await run();
      done++;
      // Calls that are answered from memory never leave the microtask queue: let timers and sockets have their turn, as
      // a server would, or a near cache could not hear of its invalidations.
      if (n % 64 === 0) {
        await turn();
        if (performance.now() >= end) return;
      } else if (n % 8 === 0 && performance.now() >= end) return;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: done / seconds, cpuPerCall: (user + system) / done };
}

const tasks = {
  fill: async () => {
    for (let i = 0; i < RECORDS; i++) await write(i);
    // Once through everything: a wrong answer shows here, and local layers are warm.
    for (let i = 0; i < RECORDS; i++) await read(i);
  },
  measure,
  put: ({ key }) => client.put(key, session(0), TTL),
  /** Deletes, and says when it began and when it was acknowledged (a clock that all processes share). */
  delete: async ({ key }) => {
    const began = process.hrtime.bigint();
    await client.delete(key);
    return { began: String(began), acknowledged: String(process.hrtime.bigint()) };
  },
  /** Reads a few times, so that a local layer has it; whether it is there. */
  warm: async ({ key }) => {
    let value;
    for (let n = 0; n < 20; n++) {
      value = await client.get(key);
      await sleep(1);
    }
    return value !== undefined && value !== null;
  },
  /** Reads until the record is gone, and says when that was. */
  watch: async ({ key, patience }) => {
    const deadline = performance.now() + patience;
    while (performance.now() < deadline) {
      const value = await client.get(key);
      if (value === undefined || value === null) return String(process.hrtime.bigint());
      await turn();
    }
    return null;
  },
};

process.on('message', async ({ task, options, call }) => {
  try {
    process.send({ call, result: await tasks[task](options ?? {}) });
  } catch (error) {
    process.send({ call, error: String(error?.stack ?? error) });
  }
});
process.on('disconnect', async () => {
  setTimeout(() => process.exit(), 2_000).unref();
  await Promise.resolve(client.close()).catch(() => {});
  process.exit();
});
process.send({ ready: true, name, local: contenders.find((one) => one.id === id).local === true });
