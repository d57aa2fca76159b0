// An application from its start to its end, in a process that has to exit by itself: see integration/exit.spec.ts.
import 'reflect-metadata';
import { createHook } from 'node:async_hooks';
import { once, type EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { RedisCacheModule, type RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { z } from 'zod';
import { SILENT } from './cache-app.js';

const listenersOf = (emitter: EventEmitter) =>
  emitter.eventNames().map((name) => `${emitter.listenerCount(name)} on ${String(name)}`);

const [scenario = '', url = ''] = process.argv.slice(2);
const background: RedisCacheModuleOptions = { url, startup: 'background', timeout: 500 };

async function boot(options: RedisCacheModuleOptions) {
  const imports = [RedisCacheModule.forRoot(options), RedisCacheModule.forFeature({ namespace: 'feature' })];
  return Test.createTestingModule({ imports }).setLogger(SILENT).compile();
}

/** Each ends with everything closed, and gives what happened. */
const scenarios: Record<string, () => Promise<unknown>> = {
  async used() {
    const app = await boot({ url });
    await app.init();
    const store = app.get(RedisCacheStore);
    await store.put('key', 'value', { ttl: '1h', tags: ['tag'] });
    const found = await store.get('key');
    for await (const key of store.scan()) void key;
    await app.close();
    return found;
  },
  /** Of several refusals nobody hears of all but the first, and an unhandled one would end the process. */
  async badRecords() {
    const app = await boot({ url, schema: z.object({ id: z.number() }) });
    await app.init();
    const bad: [string, unknown][] = [
      ['a', { id: 'none' }],
      ['', { id: 1 }],
    ];
    const name = await app
      .get(RedisCacheStore)
      .putMany(bad)
      .catch((error: Error) => error.name);
    await new Promise(setImmediate);
    await app.close();
    return name;
  },
  async closedTwice() {
    const app = await boot({ url });
    await app.init();
    await app.close();
    await app.close();
    return 'closed';
  },
  async neverInitialized() {
    await boot({ url });
    return 'compiled';
  },
  async absent() {
    const app = await boot({ url, startupTimeout: 300 });
    return app.init().catch((error: Error) => error.name); // and nobody calls close()
  },
  /** Of each of several servers. */
  async waiting() {
    const waitFor = async (options: RedisCacheModuleOptions) => {
      const app = await boot({ ...background, timeout: '1m', startupTimeout: '1m', ...options });
      await app.init();
      const call = app
        .get(RedisCacheStore)
        .get('key')
        .catch((error: { reason: string }) => error.reason);
      await new Promise((resolve) => setTimeout(resolve, 100)); // an attempt is under way
      await app.close();
      return call;
    };
    const credentials = () => new Promise<never>(() => undefined);
    return Promise.all([
      ...url.split(' ').map((each) => waitFor({ url: each })),
      waitFor({ credentials, url: 'redis://localhost:1' }),
    ]);
  },
  async refused() {
    const app = await boot({ url: `${url}/99` });
    return app.init().catch((error: Error) => error.name);
  },
  async frozen() {
    const app = await boot({ url, timeout: 500 });
    await app.init();
    process.stdout.write('freeze\n');
    await once(process.stdin, 'data');
    const call = app
      .get(RedisCacheStore)
      .put('key', 1)
      .catch((error: { outcome: string }) => error.outcome);
    await app.close();
    return call;
  },
  async ownClient() {
    const client = new Redis(url);
    await once(client, 'ready');
    const listeners = listenersOf(client);
    const app = await boot({ client });
    await app.init();
    await app.get(RedisCacheStore).put('key', 'value');
    await app.close();
    const reply = await client.ping(); // neither closed nor in another state
    const remaining = listenersOf(client);
    await client.quit();
    return { reply, listenersAsBefore: isDeepStrictEqual(remaining, listeners) };
  },
};

await new Promise(setImmediate); // what loads this module has its own listeners
const listeners = listenersOf(process);
/** Also those that let the process exit, of which Node does not tell. */
const timers = new Set<number>();
createHook({
  init: (id, type) => void (type === 'Timeout' && timers.add(id)),
  destroy: (id) => void timers.delete(id),
}).enable();
const outcome = await scenarios[scenario]?.();
process.stdin.destroy();
const resources = () => process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap');
// Handles of closed sockets are given back by and by.
for (const until = performance.now() + 500; performance.now() < until && resources().length + timers.size > 0;) {
  await new Promise(setImmediate);
}
const left = {
  resources: resources(),
  timers: timers.size,
  listeners: listenersOf(process).filter((each) => !listeners.includes(each)),
};
process.stdout.write(`${JSON.stringify({ outcome, left })}\n`);
