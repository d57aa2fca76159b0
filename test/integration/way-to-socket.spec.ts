import { CacheApp } from '../support/cache-app.js';
import { RedisServer } from '../support/redis-server.js';
import { expectShort, wayToSocket } from '../support/way-to-socket.js';

describe('A guard’s get reaches the socket through at most 7 files and 10 calls', () => {
  let server: RedisServer;
  let app: CacheApp;
  beforeAll(async () => {
    server = await RedisServer.start();
    app = await CacheApp.start({ url: server.url });
    await app.store.putMany(['one', 'two', 'three'].map((key) => [key, key]));
  });
  afterAll(async () => {
    await app.close();
    await server.stop();
  });

  it('alone', async () => {
    expectShort(await wayToSocket('cache:one', () => app.store.get('one')));
  });

  it('together with others', async () => {
    const reads = () => Promise.all(['one', 'two', 'three'].map((key) => app.store.get(key)));
    expectShort(await wayToSocket('mget', reads));
  });
});
