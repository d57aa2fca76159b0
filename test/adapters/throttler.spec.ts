import { commandsDuring } from '../support/command-stats.js';
import { Stage } from '../support/stage.js';
import { WorkerProcess } from '../support/worker-process.js';

type Worker = WorkerProcess<typeof import('../support/workers/throttler.worker.js')>;

const LIMIT = 10;
const BLOCK = 5 * 60;

describe('the storage for @nestjs/throttler', () => {
  let stage: Stage;
  /** Two instances of one application. */
  let workers: Worker[];
  let urls: string[];

  beforeAll(async () => {
    stage = await Stage.redis();
    workers = await Promise.all([0, 1].map(() => WorkerProcess.start('throttler.worker', { REDIS_URL: stage.url })));
    urls = await Promise.all(workers.map((worker) => worker.run('url')));
  }, 60_000);
  beforeEach(() => stage.server.cli('FLUSHALL'));
  afterEach(() => stage.clean());
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await stage.stop();
  });

  const hit = (path: string, instance: number) => fetch(`${urls[instance]}${path}`);
  const header = (answer: Response, name: string) => Number(answer.headers.get(name));

  it('allows exactly the limit, whichever of two instances the hits reach', async () => {
    const answers = await Promise.all(Array.from({ length: 4 * LIMIT }, (_, i) => hit('/window', i % 2)));
    const allowed = answers.filter(({ status }) => status === 200);
    expect(allowed).toHaveLength(LIMIT);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(3 * LIMIT);
    const remaining = allowed.map((answer) => header(answer, 'x-ratelimit-remaining'));
    expect(remaining.toSorted((a, b) => a - b)).toEqual(Array.from({ length: LIMIT }, (_, i) => i));
  });

  it('says in seconds when the window ends, and begins a new one then', async () => {
    for (let i = 0; i < LIMIT; i++) expect((await hit('/window', i % 2)).status).toBe(200);
    await stage.pass(20_000);
    const refused = await hit('/window', 0);
    // The guard blocks for as long as the window is, unless it is told otherwise.
    expect([refused.status, header(refused, 'retry-after')]).toEqual([429, 60]);
    await stage.pass(61_000);
    const fresh = await hit('/window', 1);
    expect([fresh.status, header(fresh, 'x-ratelimit-remaining'), header(fresh, 'x-ratelimit-reset')]).toEqual([
      200,
      LIMIT - 1,
      60,
    ]);
  });

  it('blocks for the blockDuration from the first refused hit on, on every instance', async () => {
    for (let i = 0; i < LIMIT; i++) await hit('/blocking', 0);
    expect(header(await hit('/blocking', 1), 'retry-after')).toBe(BLOCK);
    await stage.pass(61_000);
    const still = await hit('/blocking', 0);
    expect(still.status).toBe(429);
    expect(header(still, 'retry-after')).toBeLessThanOrEqual(BLOCK - 60);
    expect((await hit('/window', 0)).status).toBe(200);
    await stage.pass(BLOCK * 1000);
    const fresh = await hit('/blocking', 1);
    expect([fresh.status, header(fresh, 'x-ratelimit-remaining')]).toEqual([200, LIMIT - 1]);
  });

  it('sends one command for a hit', async () => {
    await hit('/window', 0);
    const counts = await commandsDuring(stage.server, () => hit('/window', 0));
    expect(counts['evalsha']).toBe(1);
    expect(Object.keys(counts).filter((name) => !['evalsha', 'time', 'get', 'set'].includes(name))).toEqual([]);
  });

  it('keeps its counters apart from the records and counters of the store', async () => {
    await hit('/window', 0);
    const keys = (await stage.server.cli('KEYS', '*')) as string[];
    expect(keys).toEqual([expect.stringMatching(/^app\+throttler:default:[0-9a-f]+$/)]);
  });

  it.each([
    { limit: 3, ttl: 1000, block: 5000 },
    { limit: 3, ttl: 5000, block: 1000 },
    { limit: 3, ttl: 5000, block: 0 },
    { limit: 0, ttl: 5000, block: 2000 },
    { limit: 2.5, ttl: 5000, block: 5000 },
    { limit: Infinity, ttl: 5000, block: 5000 },
  ])('answers as the storage of @nestjs/throttler does with $limit in $ttl ms, blocked for $block ms', async (hits) => {
    const answers = await workers[0]?.run('compare', 'key', hits.limit, hits.ttl, hits.block);
    expect(answers).toHaveLength(6);
    for (const [own, model] of answers ?? []) {
      expect([own.totalHits, own.isBlocked]).toEqual([model.totalHits, model.isBlocked]);
      const time = own.isBlocked ? 'timeToBlockExpire' : 'timeToExpire';
      expect(Math.abs(own[time] - model[time])).toBeLessThanOrEqual(1);
    }
  });

  // The last: it leaves no server behind.
  it('answers 503 in an outage, and not 429', async () => {
    await stage.server.kill9();
    const answer = await hit('/window', 0);
    expect([answer.status, header(answer, 'retry-after')]).toEqual([503, 1]);
  });
});
