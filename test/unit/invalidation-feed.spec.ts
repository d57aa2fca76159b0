import { InvalidationFeed } from '../../lib/connection/invalidation-feed.js';

const LEASE = 1000;

describe('a write of this process', () => {
  const told: string[] = [];
  let feed: InvalidationFeed;

  beforeEach(() => {
    told.length = 0;
    feed = new InvalidationFeed(() => undefined);
    const forgetAll = () => told.push('all');
    feed.watch('near:', LEASE, { forget: (key) => told.push(key), forgetAll });
  });
  afterEach(() => feed.close());

  it('counts as a change before it is sent, and again when it is answered', async () => {
    const write = async () => {
      expect(told.splice(0)).toEqual(['near:a', 'near:b']);
      await Promise.resolve();
      return 'reply';
    };
    expect(await feed.around(['near:a', 'near:b'], write)).toBe('reply');
    expect(told).toEqual(['near:a', 'near:b']);
  });

  it('counts as a change, too, if it failed: it may have been carried out', async () => {
    const failing = feed.around(['near:a'], () => Promise.reject(new Error('lost')));
    await expect(failing).rejects.toThrow('lost');
    expect(told).toEqual(['near:a', 'near:a']);
  });

  it('is told to nobody whom it does not concern', async () => {
    await feed.around(['nearby:a', 'near#a'], () => Promise.resolve());
    expect(told).toEqual([]);
  });

  it('is told to nobody whose connection is closed', async () => {
    feed.close();
    told.length = 0;
    await feed.around(['near:a'], () => Promise.resolve());
    expect(told).toEqual([]);
  });
});
