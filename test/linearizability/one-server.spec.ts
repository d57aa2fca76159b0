import { setTimeout as sleep } from 'node:timers/promises';
import { LONG } from '../support/fault-report.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';
import { FAULTS, SHIFTED } from './faults.js';
import { type Crew, Fleet } from './fleet.js';
import type { History } from './history.js';
import { drawTimeline, reportHistories } from './report.js';
import { expectLinearizable } from './verdict.js';

const RUNS = LONG ? 10 : 1;
const LOAD = { keys: 32, tags: 4, callers: 4, clients: 3, pause: 12 };
/** How long the workers call around each fault, and how long it lasts, in ms. */
const AROUND = LONG ? 1000 : 400;
const LASTING = LONG ? 1500 : 600;
const STORE = { namespace: 'lin', timeout: 500, ttl: '1h', maxAge: '2h' };
const LEASE = 500;

describe('On one server that keeps what it acknowledges', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let fleet: Fleet;

  beforeAll(async () => {
    [server, fleet] = await Promise.all([RedisServer.start({ appendonly: true }), Fleet.start(4)]);
    proxy = await TcpProxy.start(server);
  }, 60_000);
  afterAll(async () => {
    server?.thaw();
    await fleet?.stop();
    await proxy?.stop();
    await server?.stop();
  });

  it(
    'every history is linearizable, whatever happens to server and network',
    async () => {
      const { url } = server;
      const crews: Crew[] = [
        { url },
        { url: proxy.url },
        { url: proxy.url, lease: LEASE },
        { url, lease: LEASE, clock: SHIFTED },
      ];
      const shiftClock = (ms: number) => fleet.shiftClock(crews.length - 1, ms);
      const histories: History[] = [];
      for (let run = 0; run < RUNS; run++) {
        await server.cli('FLUSHALL');
        const history = await fleet.run(LOAD, crews, STORE, async (faults) => {
          for (const fault of shuffled(FAULTS)) {
            await sleep(AROUND);
            await faults.during(fault.name, () => fault.inflict({ server, proxy, shiftClock }, LASTING));
          }
          await sleep(AROUND);
        });
        expectLinearizable('one server', history);
        expect(history.calls.filter(({ outcome }) => outcome === 'ok').length).toBeGreaterThan(500);
        expect(history.calls.filter(({ outcome }) => outcome === 'unknown').length).toBeGreaterThan(0);
        histories.push(history);
      }
      reportHistories('one server', histories, 0);
      drawTimeline(histories[0] as History);
    },
    RUNS * 60_000,
  );
});

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
