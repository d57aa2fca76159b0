import type { KeyRing as Ring } from '../../lib/record/key-ring.js';

const MINUTE = 60_000;
const keys = [1, 2].map((byte) => Buffer.alloc(32, byte));

/** Keys that a function gives are asked for again, by a clock that this file moves on. */
describe('the keys of a function', () => {
  let ahead = 0;
  let KeyRing: typeof Ring;
  beforeAll(async () => {
    const now = performance.now.bind(performance);
    performance.now = () => now() + ahead;
    ({ KeyRing } = await import('../../lib/record/key-ring.js'));
  });

  /** A ring whose function has the answers one after the other. */
  async function ring(...answers: (() => { keys: Buffer[] } | Promise<never>)[]) {
    let asked = 0;
    const source = () => answers[asked++]?.() ?? { keys };
    const warnings: string[] = [];
    return { ring: await KeyRing.open(source, (message) => warnings.push(message)), asked: () => asked, warnings };
  }
  const only = (key: Buffer | undefined) => () => ({ keys: key ? [key] : [] });
  const never = () => new Promise<never>(() => undefined);

  it('are asked for again after a minute, while those at hand go on being good', async () => {
    const { ring: of, asked } = await ring(only(keys[0]), only(keys[1]));
    expect(of.isStale).toBe(false);
    ahead += MINUTE + 1;
    expect([of.isStale, of.keys]).toEqual([true, [keys[0]]]);
    await of.refresh(1000);
    expect([of.isStale, of.isIncomplete, of.keys, asked()]).toEqual([false, false, [keys[1]], 2]);
  });

  it('are asked for again although a question was never answered', async () => {
    const { ring: of, asked } = await ring(only(keys[0]), never, only(keys[1]));
    ahead += MINUTE + 1;
    await of.refresh(1);
    await of.refresh(1);
    expect([of.isIncomplete, of.keys, asked()]).toEqual([true, [keys[0]], 2]);
    ahead += MINUTE + 1;
    await of.refresh(1000);
    expect([of.isIncomplete, of.keys, asked()]).toEqual([false, [keys[1]], 3]);
  });

  it('may be incomplete after a failure, until the next answer', async () => {
    const { ring: of, warnings } = await ring(only(keys[0]), () => Promise.reject(new Error('secret')), only(keys[1]));
    ahead += MINUTE + 1;
    await of.refresh(1000);
    expect([of.isIncomplete, of.keys, warnings.length]).toEqual([true, [keys[0]], 1]);
    ahead += 2000;
    await of.refresh(1000);
    expect([of.isIncomplete, of.keys]).toEqual([false, [keys[1]]]);
  });
});
