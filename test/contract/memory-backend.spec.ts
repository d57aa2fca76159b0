import { MemoryBackend } from '../../lib/backend/memory.backend.js';
import { describeBackend } from './backend-contract.js';

describeBackend(
  'memory:',
  async () => ({ backend: new MemoryBackend(() => true), close: () => Promise.resolve() }),
  false,
);

describe('memory:', () => {
  it('lets timers run between its answers to a caller that asks again at once', async () => {
    const backend = new MemoryBackend(() => true);
    const timers: string[] = [];
    setTimeout(() => timers.push('ran'), 10);
    for (let asked = 0; asked < 1_000_000 && timers.length === 0; asked++) await backend.get('key');
    expect(timers).toEqual(['ran']);
  });

  it('adds members to an index at a cost that does not grow with the index', async () => {
    const backend = new MemoryBackend(() => true);
    const addAll = async (count: number, name: string) => {
      const begun = performance.now();
      for (let i = 0; i < count; i++) {
        await backend.addToIndex('index', `${name} ${i}`, { ttl: 60_000 });
        await backend.admitToIndex('limited', `${name} ${i}`, { ttl: 60_000 }, 1e6);
      }
      return performance.now() - begun;
    };
    await addAll(2000, 'warm');
    const first = await addAll(5000, 'first');
    await addAll(50_000, 'more');
    expect(await addAll(5000, 'last')).toBeLessThan(10 * first + 100);
  }, 30_000);
});
