// An application that never rests, until a signal ends it: see chaos/sigterm.spec.ts.
import 'reflect-metadata';
import { setTimeout as delay } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { SILENT } from './cache-app.js';

const [url = '', timeout = ''] = process.argv.slice(2);
const options = { url, timeout: Number(timeout), startup: 'background' as const };
const app = await Test.createTestingModule({ imports: [RedisCacheModule.forRoot(options)] })
  .setLogger(SILENT)
  .compile();
app.enableShutdownHooks();
await app.init();

const store = app.get(RedisCacheStore);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
for (let n = 0; n < 10; n++) void work(n);
process.stdout.write('busy\n');

async function work(worker: number): Promise<void> {
  while (!stop.signal.aborted) {
    await store.put(`key ${worker}`, worker).catch(() => undefined);
    await delay(10);
  }
}
