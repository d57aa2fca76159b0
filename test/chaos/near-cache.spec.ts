import * as fc from 'fast-check';
import { LONG, reportFault } from '../support/fault-report.js';
import type { NearFleet } from '../support/near-fleet.js';
import { clusterFaults, ClusterFleet, serverFaults, ServerFleet } from '../support/near-fleets.js';
import { batchesOf, runBatch, type Step } from '../support/near-world.js';

/** Histories that run at the same time, and how many there are in all. */
const AT_ONCE = 50;
const HISTORIES = LONG ? 2000 : 300;
/** How long the short form takes at most, and the long one. In ms. */
const WITHIN = LONG ? 20 * 60_000 : 10_000;

describe('instances with near caches', () => {
  it(
    'on one server give no value older than the rules allow, whatever is written by whom, killed, stalled and frozen',
    () => expectCoherent('one server', () => ServerFleet.start(), serverFaults),
    WITHIN + 60_000,
  );

  it(
    'on a Cluster give no value older than the rules allow, whatever is written by whom, killed, stalled, resharded and failed over',
    () => expectCoherent('a Cluster', () => ClusterFleet.start(), clusterFaults),
    WITHIN + 60_000,
  );
});

async function expectCoherent<Fleet extends NearFleet>(
  where: string,
  start: () => Promise<Fleet>,
  faults: fc.Arbitrary<Step<Fleet>>,
): Promise<void> {
  const fleet = await start();
  try {
    let [histories, reads] = [0, 0];
    const until = performance.now() + WITHIN;
    const property = fc.asyncProperty(batchesOf(AT_ONCE, faults), async (batch) => {
      if (performance.now() > until) return;
      reads += await runBatch(fleet, batch);
      histories += AT_ONCE;
    });
    await fc.assert(property, { numRuns: HISTORIES / AT_ONCE, endOnFailure: true });
    expect(histories).toBeGreaterThanOrEqual(LONG ? HISTORIES : AT_ONCE);
    expect(reads).toBeGreaterThan(20 * histories);
    for (const instance of fleet.instances) await instance.warm(); // the feeds are back after all that
    reportFault(`near cache on ${where}`, { histories, reads, 'older than the rules allow': 0 });
  } finally {
    await fleet.stop();
  }
}
