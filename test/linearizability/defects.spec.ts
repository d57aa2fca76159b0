import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { RedisServer } from '../support/redis-server.js';
import { type Defect, DEFECTS, isOfStore } from './defects.js';
import { check } from './explain.js';
import { Fleet } from './fleet.js';

const RUNS = LONG ? 5 : 1;
const LOAD = { keys: 12, tags: 3, pause: 2 };
const OF_STORE = { ...LOAD, callers: 6, clients: 0 };
const OF_SERVICES = { ...LOAD, callers: 0, clients: 6 };
/** How many calls a run has at least. */
const CALLS = LONG ? 4000 : 1500;
/** A short run is repeated once if the defect did not show: its calls are random. */
const ATTEMPTS = LONG ? 1 : 2;
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
  async function findings(load: typeof OF_STORE, defect?: Defect) {
    await server.cli('FLUSHALL');
    const crew = { url: server.url };
    // A stale copy shows where a lease would allow a younger one.
    const first = defect === 'serves a stale near copy' ? { ...crew, lease: LEASE } : crew;
    const crews = [{ ...first, ...(defect && { defect }) }, crew];
    const history = await fleet.run(load, crews, { namespace: 'lin', timeout: '10s' }, async () => {
      await eventually(async () => expect(await fleet.made()).toBeGreaterThan(CALLS), { timeout: 30_000 });
    });
    return check(history);
  }

  async function firstFindings(defect: Defect) {
    for (let attempt = 1; ; attempt++) {
      const found = await findings(isOfStore(defect) ? OF_STORE : OF_SERVICES, defect);
      if (found.length > 0 || attempt === ATTEMPTS) return found;
    }
  }

  it('finds nothing wrong with two processes that use store and services as they are', async () => {
    const sound = [await findings(OF_STORE), await findings(OF_SERVICES)].flat();
    expect(sound.map((finding) => finding.explain())).toEqual([]);
  }, 60_000);

  it.each(DEFECTS)(
    'finds out an application that %s',
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
