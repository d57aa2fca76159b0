import * as fc from 'fast-check';
import { type CacheStoreOptions, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

const DENIED: CacheStoreOptions = { namespace: 'denied' };
const keys = ['absent 1', 'absent 2', 'absent 3'];

describe('reads that find nothing', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;
  let denied: RedisCacheStore;

  beforeAll(async () => {
    server = await RedisServer.start();
    proxy = await TcpProxy.start(server);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    app = await CacheApp.start({ url: proxy.url, namespace: 'session' }, DENIED);
    denied = app.storeOf('denied');
    await app.store.put('key', 1);
    await denied.put('key', 1);
  });
  afterEach(async () => {
    await proxy.resume();
    await app.close();
  });
  afterAll(async () => {
    await proxy?.stop();
    await server?.stop();
  });

  const commands = (action: () => Promise<unknown>) => commandsDuring(server, action);

  /** What reaches the server of a call before anything is answered. */
  async function expectAtOnce(call: () => Promise<unknown>, expected: Record<string, number>): Promise<void> {
    proxy.stallReplies();
    let answer: Promise<unknown> = Promise.resolve();
    const sent = await commands(async () => {
      answer = call();
      const info = async () => String(await server.cli('INFO', 'commandstats'));
      for (const name of Object.keys(expected)) {
        await eventually(async () => expect(await info()).toContain(`cmdstat_${name}:`));
      }
    });
    expect(sent).toEqual(expected);
    await proxy.resume();
    await answer;
  }

  it('look twice before they call a record absent, which is not in the reply to GETRANGE or MGET', async () => {
    expect(await commands(() => denied.get('absent'))).toEqual({ getrange: 1, get: 1 });
    await denied.get('key');
    expect(await commands(() => denied.getMany(keys))).toEqual({ mget: 1, exists: 1 });
  });

  it('do so in the same round trip where the last read found nothing either', async () => {
    await denied.get('absent');
    await expectAtOnce(() => denied.get('absent'), { getrange: 1, exists: 1 });
    await expectAtOnce(() => denied.getMany(keys), { mget: 1, exists: 1 });
    await expectAtOnce(() => Promise.all([denied.get('absent'), app.store.get('key')]), { mget: 1, exists: 1 });
  });

  it('do not slow down those that find something, be it in another store or after them', async () => {
    await denied.get('absent');
    expect(await commands(() => app.store.get('key'))).toEqual({ getrange: 1 });
    await denied.get('key');
    expect(await commands(() => denied.get('key'))).toEqual({ getrange: 1 });
    await denied.getMany(keys);
    await denied.getMany(['key', 'key']);
    expect(await commands(() => denied.getMany([...keys, 'key']))).toEqual({ mget: 1, exists: 1 });
  });

  it('leave it at two commands when both kinds come together', async () => {
    await denied.get('absent');
    const read = () => Promise.all([denied.get('absent'), denied.get('absent 2'), app.store.get('key')]);
    expect(await commands(read)).toEqual({ mget: 1, exists: 1 });
  });

  it('give what there is, in any order and company', async () => {
    await server.cli('RPUSH', 'denied:list', 'a');
    await server.cli('RPUSH', 'session:list', 'a');
    await server.cli('SET', 'denied:empty', '');
    const truth: Record<string, unknown> = {
      key: { status: 'fulfilled', value: 1 },
      absent: { status: 'fulfilled', value: undefined },
      'absent 2': { status: 'fulfilled', value: undefined },
      list: { status: 'rejected', reason: expect.objectContaining({ reply: 'WRONGTYPE' }) },
      empty: { status: 'rejected', reason: expect.objectContaining({ code: 'CACHE_CORRUPT' }) },
    };
    const inSession: typeof truth = { ...truth, empty: truth.absent };
    const read = fc.tuple(fc.boolean(), fc.constantFrom(...Object.keys(truth)));
    const rounds = fc.array(fc.array(read, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(rounds, async (steps) => {
        for (const step of steps) {
          const reads = step.map(([isDenied, key]) => (isDenied ? denied : app.store).get(key));
          const expected = step.map(([isDenied, key]) => (isDenied ? truth : inSession)[key]);
          expect(await Promise.allSettled(reads)).toEqual(expected);
        }
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('see a record as soon as it was written, by anybody', async () => {
    for (let i = 0; i < 20; i++) {
      expect(await denied.get('new')).toBeUndefined();
      await server.cli('COPY', 'denied:key', 'denied:new');
      expect(await denied.get('new')).toBe(1);
      await server.cli('DEL', 'denied:new');
    }
  });

  it('are an outage, not absence, when there is one', async () => {
    await denied.get('absent');
    const dropped = proxy.dropReplies();
    expect(await denied.get('key')).toBe(1); // repeated
    await dropped;
    await denied.get('absent');
    await proxy.cut();
    expect(await reasonOf(denied.get('absent'))).toMatchObject({ code: 'CACHE_UNAVAILABLE' });
  });
});
