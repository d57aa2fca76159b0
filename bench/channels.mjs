// `node bench/channels.mjs`, after `npm run build` and `npm --prefix bench install`: what the diagnostics channels cost while nobody
// listens. `get` at 64 callers of the build as it is against a copy of it with the code of the channels cut out, each in processes of its own; others
// have listened for a while before. Ratios of the medians of interleaved rounds; the target is 0.98. On a machine that does something else
// as well, the calls for each second of the process' own CPU say more than those for each second.
import 'reflect-metadata';
import { fork } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { cpSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import { startRedis } from './processes.mjs';
import { summary } from './statistics.mjs';

const CALLERS = 64;
const ROUNDS = 40;
const WARM_UP = 10;
// As many of each: how V8 optimizes differs from process to process.
const PROCESSES = 3;
// Short, so that whatever else the machine does meanwhile hits all alike.
const MS = 80;
const LEAD_IN = 30;
const RECORDS = 1000;

const built = new URL('../dist/', import.meta.url);
// Below node_modules, so that its imports are found.
const cut = new URL('../node_modules/.cache/without-channels/', import.meta.url);
const NOTHING = `
export const CALLS = '', CONNECTIONS = '', NEAR_CACHES = '', SESSIONS = '';
export const areCallsObserved = () => false;
export const currentCalls = () => undefined;
export const onBehalfOf = (calls, size, send) => send();
export const [countRetry, countMiss, tellConnection, tellNearCache, tellSession] = Array(5).fill(() => {});
`;

const CONTENDERS = { cut: { from: cut }, silent: { from: built }, listened: { from: built, listens: true } };

const [contender, url] = process.argv.slice(2);
if (contender) await work(CONTENDERS[contender], url);
else await compare();

async function compare() {
  cpSync(built, cut, { recursive: true });
  writeFileSync(new URL('package.json', cut), '{ "type": "module" }');
  writeFileSync(new URL('redis-cache.diagnostics.js', cut), NOTHING);
  writeFileSync(new URL('store/told-calls.js', cut), 'export function tellsCalls() {}');
  const server = await startRedis();
  const names = Object.keys(CONTENDERS);
  const workers = Array.from({ length: PROCESSES * names.length }, (_, i) => names[i % names.length]).map((name) => ({
    name,
    process: fork(fileURLToPath(import.meta.url), [name, server.url]),
    rounds: [],
  }));
  try {
    await Promise.all(workers.map((worker) => once(worker.process, 'message')));
    for (let round = 0; round < ROUNDS + WARM_UP; round++) {
      for (let i = 0; i < workers.length; i++) {
        const worker = workers[(i + round) % workers.length];
        worker.process.send('go');
        const [measured] = await once(worker.process, 'message');
        if (round >= WARM_UP) worker.rounds.push(measured);
      }
    }
    const roundsOf = (name) => workers.filter((worker) => worker.name === name).flatMap(({ rounds }) => rounds);
    const medians = names
      .map((name) => [name, roundsOf(name)])
      .map(([name, rounds]) => ({
        name,
        rate: summary(rounds.map(({ rate }) => rate)).median,
        cpu: summary(rounds.map(({ cpu }) => cpu)).median,
      }));
    const [base, ...others] = medians;
    const shown = ({ name, rate, cpu }) => `${name}: ${Math.round(rate / 1000)}k/s, ${cpu.toFixed(2)} µs of CPU each`;
    const ratio = (one, other) => `${(one / other).toFixed(3)}×`;
    console.log(shown(base));
    for (const one of others) {
      console.log(`${shown(one)}; ${ratio(one.rate, base.rate)}, for each second of CPU ${ratio(base.cpu, one.cpu)}`);
    }
  } finally {
    for (const worker of workers) worker.process.disconnect();
    await server.stop();
  }
}

async function work({ from, listens }, server) {
  const { RedisCacheModule, RedisCacheStore } = await import(new URL('index.js', from));
  const root = RedisCacheModule.forRoot({ url: server, ttl: '1h' });
  const app = await NestFactory.createApplicationContext(root, { logger: ['error'] });
  const store = app.get(RedisCacheStore);
  const value = { userId: 42, roles: ['user', 'editor'], theme: 'dark', createdAt: new Date() };
  const ids = Array.from({ length: RECORDS }, (_, i) => `session-${i}`);
  await Promise.all(ids.map((id) => store.put(id, value)));
  if (listens) {
    const listener = () => {};
    subscribe('tracing:nestjs-redis-cache-store:call:asyncEnd', listener);
    await measure(LEAD_IN);
    unsubscribe('tracing:nestjs-redis-cache-store:call:asyncEnd', listener);
  }
  process.on('message', async () => {
    await measure(LEAD_IN);
    process.send(await measure(MS));
  });
  process.once('disconnect', () => void app.close());
  process.send('ready');

  /** Calls a second, and microseconds of this process' CPU for each. */
  async function measure(ms) {
    let calls = 0;
    const cpu = process.cpuUsage();
    const begun = performance.now();
    const caller = async (first) => {
      for (let i = first; performance.now() < begun + ms; i += CALLERS) {
        if (!(await store.get(ids[i % RECORDS]))) throw new Error('there is no record');
        calls++;
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, (_, i) => caller(i)));
    const { user, system } = process.cpuUsage(cpu);
    return { rate: (calls / (performance.now() - begun)) * 1000, cpu: (user + system) / calls };
  }
}
