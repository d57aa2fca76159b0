import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { freePort } from '../../scripts/processes.mjs';
import { RedisServer } from '../support/redis-server.js';

const RECORDS = 64;
const RECORD = 200_000;
/** Bytes a second. */
const LINE = 5_000_000;

/** Passes on replies at the pace of a line. */
async function slowLine(target: number): Promise<{ port: number; close: () => void }> {
  const port = await freePort();
  const sockets: Socket[] = [];
  const server: Server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream);
    upstream.on('data', (data) => {
      upstream.pause();
      client.write(data);
      setTimeout(() => upstream.resume(), (data.length / LINE) * 1000);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  return {
    port,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

it('Large records read together over a slow line come one by one, so that as many arrive in time as the line carries', async () => {
  const server = await RedisServer.start();
  const line = await slowLine(server.port);
  const writer = await CacheApp.start({ url: server.url });
  const app = await CacheApp.start({ url: `redis://127.0.0.1:${line.port}`, timeout: '2s' });
  try {
    const keys = Array.from({ length: RECORDS }, (_, i) => `key ${i}`);
    await writer.store.putMany(keys.map((key) => [key, 'x'.repeat(RECORD)]));
    for (const _ of [1, 2, 3]) {
      const results = await Promise.allSettled(keys.map((key) => app.store.get(key)));
      const arrived = results.filter(({ status }) => status === 'fulfilled').length;
      // The line carries 50 of them in time; what it still owes of the round before it carries first.
      expect(arrived).toBeGreaterThan(20);
      await sleep(1500);
    }
  } finally {
    await Promise.all([app.close(), writer.close()]);
    line.close();
    await server.stop();
  }
}, 30_000);
