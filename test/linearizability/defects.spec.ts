import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { RedisServer } from '../support/redis-server.js';
import { type Defect, DEFECT_NAMES } from './broken-stores.js';
import { check } from './explain.js';
import { Fleet } from './fleet.js';

const RUNS = LONG ? 5 : 1;
const LOAD = { keys: 12, tags: 3, callers: 6, pause: 2 };
/** How many calls a run has at least. */
const CALLS = 1500;
/** Of the honest near cache. */
const LEASE = 150;

describe('The checker', () => {
  let server: RedisServer;
  let fleet: Fleet;

  beforeAll(async () => {
    [server, fleet] = await Promise.all([RedisServer.start(), Fleet.start(2)]);
  }, 60_000);
  afterAll(async () => {
    await fleet?.stop();
    await server?.stop();
  });

  /** A run in which the first of two processes has the defect. */
  async function findings(defect?: Defect) {
    await server.cli('FLUSHALL');
    const crew = { url: server.url };
    // A stale copy shows where a lease would allow a younger one.
    const first = defect === 'serves a stale near copy' ? { ...crew, lease: LEASE } : crew;
    const crews = [{ ...first, ...(defect && { defect }) }, crew];
    const history = await fleet.run(LOAD, crews, { namespace: 'lin', timeout: '10s' }, async () => {
      await eventually(async () => expect(await fleet.made()).toBeGreaterThan(CALLS), { timeout: 30_000 });
    });
    return check(history);
  }

  /** A run is short, and its calls are random: the defect may not have shown. */
  async function firstFindings(defect: Defect) {
    for (let attempt = 1; ; attempt++) {
      const found = await findings(defect);
      if (found.length > 0 || attempt === 4) return found;
    }
  }

  it('finds nothing wrong with two processes that use the store as it is', async () => {
    expect((await findings()).map((finding) => finding.explain())).toEqual([]);
  }, 30_000);

  it.each(DEFECT_NAMES)(
    'finds out a store that %s',
    async (defect) => {
      for (let run = 0; run < RUNS; run++) {
        const found = await firstFindings(defect);
        expect(found.length).toBeGreaterThan(0);
        expect(found[0]?.explain()).toContain('no order of these calls explains');
        if (process.env['SHOW']) console.log(defect, found.length, `\n${found[0]?.explain()}`);
      }
    },
    120_000,
  );
});
