import { executionAsyncResource } from 'node:async_hooks';
import { CacheArgumentError } from 'nestjs-redis-cache-store';
import { UpdateQueue } from '../../lib/store/update-queue.js';

const never = performance.now() + 60_000;

describe('UpdateQueue', () => {
  it('refuses an update of a key inside an update of that key, and allows one of another backend', async () => {
    const [one, other] = [UpdateQueue.of({}), UpdateQueue.of({})];
    await one.run('key', never, async () => {
      await expect(one.run('key', never, () => Promise.resolve(1))).rejects.toThrow(CacheArgumentError);
      expect(await other.run('key', never, () => Promise.resolve(2))).toBe(2);
    });
  });

  it('leaves nothing on the promises of the process that grows with the number of backends', async () => {
    const stores = async () => {
      await UpdateQueue.of({}).run('key', never, () => Promise.resolve());
      return Object.getOwnPropertySymbols(executionAsyncResource()).length;
    };
    const one = await stores();
    for (let i = 0; i < 10; i++) await stores();
    expect(await stores()).toBe(one);
  });
});
