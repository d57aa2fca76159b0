import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Repeats an assertion until it holds and answers what it returned; after `timeout` ms its last failure is thrown.
 * For what no event announces. Fake timers of Jest do not stop it.
 */
export async function eventually<T>(
  assertion: () => T | Promise<T>,
  { timeout = 5000, interval = 20 }: { timeout?: number; interval?: number } = {},
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await sleep(interval);
  }
}
