// `node bench/auth.mjs`, after `npm run build` and `npm --prefix bench install`: the read of a guard (`sessions.get`) against a bare
// `get` of the same records, at 64 callers. The ratio of the medians of interleaved rounds; the target is 0.9.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { RedisCacheAuthModule, Sessions } from '../dist/auth/index.js';
import { getCacheStoreToken, RedisCacheModule } from '../dist/index.js';
import { startRedis } from './processes.mjs';
import { summary } from './statistics.mjs';

const CALLERS = 64;
const ROUNDS = 21;
const MS = 300;
const RECORDS = 1000;

class App {}
const server = await startRedis();
const app = await NestFactory.createApplicationContext(
  {
    module: App,
    imports: [
      RedisCacheModule.forRoot({ url: server.url, ttl: '1h' }),
      RedisCacheModule.forFeature({ namespace: 'session', name: 'bare', ttl: '1h' }),
      RedisCacheAuthModule.forFeature({ sessions: { namespace: 'session', idle: '1h', absolute: '12h' } }),
    ],
  },
  { logger: ['error'] },
);
try {
  const sessions = app.get(Sessions, { strict: false });
  const store = app.get(getCacheStoreToken('bare'), { strict: false });
  const data = { roles: ['user', 'editor'], theme: 'dark', locale: 'en', cart: [1, 2, 3] };
  const made = await Promise.all(
    Array.from({ length: RECORDS }, (_, i) => sessions.create(`user:${i}`, data, { device: 'Firefox on Linux' })),
  );
  const contenders = {
    guard: (i) => sessions.get(made[i % RECORDS].token),
    bare: (i) => store.get(made[i % RECORDS].session.id),
  };
  const rates = { guard: [], bare: [] };
  for (let round = 0; round < ROUNDS + 2; round++) {
    const order = Object.keys(contenders);
    if (round % 2) order.reverse();
    for (const name of order) {
      const rate = await measure(contenders[name]);
      if (round >= 2) rates[name].push(rate); // the first two warm up
    }
  }
  const [guard, bare] = [summary(rates.guard), summary(rates.bare)];
  const thousands = (rate) => `${Math.round(rate / 1000)}k/s`;
  console.log(`sessions.get ${thousands(guard.median)}, bare get ${thousands(bare.median)}`);
  console.log(`ratio ${(guard.median / bare.median).toFixed(3)} (target: 0.9)`);
} finally {
  await app.close();
  await server.stop();
}

/** Calls a second. */
async function measure(call) {
  let calls = 0;
  const begun = performance.now();
  const end = begun + MS;
  const caller = async (first) => {
    for (let i = first; performance.now() < end; i += CALLERS) {
      if (!(await call(i))) throw new Error('there is no record');
      calls++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, (_, i) => caller(i)));
  return (calls / (performance.now() - begun)) * 1000;
}
