import { setTimeout as delay } from 'node:timers/promises';
import type { CacheApp } from './cache-app.js';
import { eventually } from './eventually.js';
import { LONG } from './fault-report.js';
import { Load, type LoadReport } from './load.js';

/** How long the load runs before a fault and after it, in ms. */
const AROUND = LONG ? 3000 : 300;

/** Keeps applications busy while something happens to Redis; `fault` resolves when Redis is well again. */
export async function endure(
  name: string,
  apps: readonly CacheApp[],
  fault: () => Promise<unknown>,
): Promise<LoadReport> {
  const load = new Load(apps.map(({ store }) => store));
  try {
    await delay(AROUND);
    await fault();
    const healedAt = performance.now();
    for (const { connection } of apps) await eventually(() => connection.ping(), { timeout: 15_000 });
    await eventually(() => expect(load.successesSince(healedAt)).toBeGreaterThan(20), { timeout: 15_000 });
    await delay(AROUND);
    return await load.finish(name, healedAt);
  } finally {
    await load.stop();
  }
}
