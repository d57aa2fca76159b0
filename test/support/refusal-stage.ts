import { CacheArgumentError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from './cache-app.js';
import { commandsDuring } from './command-stats.js';
import { RedisServer } from './redis-server.js';

/** A store with one record, whose wrong calls are to be refused before anything reaches Redis. */
export class RefusalStage {
  private constructor(
    readonly server: RedisServer,
    private readonly app: CacheApp,
  ) {}

  static async start(): Promise<RefusalStage> {
    const server = await RedisServer.start();
    const app = await CacheApp.start({ url: server.url, maxBytes: 1000 });
    await app.store.put('key', 'before');
    return new RefusalStage(server, app);
  }

  get store(): RedisCacheStore {
    return this.app.store;
  }

  /** Calls that all have to be refused; gives their errors. */
  readonly expectRefused = async (calls: (() => Promise<unknown>)[]): Promise<unknown[]> => {
    let settled: PromiseSettledResult<unknown>[] = [];
    const sent = await commandsDuring(this.server, async () => {
      settled = await Promise.allSettled(calls.map(async (call) => call()));
    });
    expect(sent).toEqual({});
    const errors = settled.map((result) => (result.status === 'rejected' ? (result.reason as unknown) : result));
    for (const error of errors) expect(error).toBeInstanceOf(CacheArgumentError);
    return errors;
  };

  /** The keys there are, with the value of the record and the ms it has left. */
  async contents(): Promise<[keys: string[], value: unknown, ttl: number | null | undefined]> {
    return [await this.store.keys(), await this.store.get('key'), await this.store.ttl('key')];
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.server.stop();
  }
}

export async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) void item;
}
