import { commandsDuring } from '../support/command-stats.js';
import { Stage } from '../support/stage.js';

describe('updates of one key in Redis', () => {
  let stage: Stage;
  beforeAll(async () => (stage = await Stage.redis()));
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  it('cost one compare-and-set each, however many there are at once in a process', async () => {
    const store = await stage.open({ ttl: '1h' });
    await store.put('key', 0);
    await store.update<number>('key', (n) => n + 1); // Redis knows the script now
    const commands = await commandsDuring(stage.server, () =>
      Promise.all(Array.from({ length: 400 }, () => store.update<number>('key', (n) => n + 1))),
    );
    expect(await store.get('key')).toBe(401);
    expect(commands['evalsha']).toBe(400);
  });
});
