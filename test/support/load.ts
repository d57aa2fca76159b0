import { setTimeout as delay } from 'node:timers/promises';
import { CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { eventually } from './eventually.js';
import { reportFault } from './fault-report.js';

/** What callers may wait longer than `timeout`: the promise of the README. In ms. */
const SLACK = 250;
/** How often the event loop is looked at, in ms. */
const BEAT = 10;

type Outcome = 'acknowledged' | 'not-sent' | 'unknown' | 'refused';

/** What a fault did to the callers. */
export interface LoadReport {
  readonly calls: number;
  readonly outcomes: Record<Outcome, number>;
  /** The longest call, in ms. */
  readonly longest: number;
  /** From the given moment to the first call that succeeded after it, in ms. */
  readonly recovery: number;
  /** Writes that were acknowledged and are not there. */
  readonly lost: number;
  /** Writes that were reported `not-sent` and are there. */
  readonly ghosts: number;
  /** Reads that gave another value than the one acknowledged, or none. */
  readonly misreads: number;
}

/**
 * Workers that write and read all the time and remember what they were told, each key written once. Afterwards the store is
 * held to it.
 */
export class Load {
  private readonly told = new Map<string, Outcome>();
  private readonly succeeded: number[] = [];
  private readonly wrongReads: string[] = [];
  private readonly workers: Promise<void>[];
  private running = true;
  private calls = 0;
  private longest = 0;
  private stalledUntil = 0;
  private readonly heartbeat: NodeJS.Timeout;

  /** `pause`: between two calls of one worker, in ms. */
  constructor(
    private readonly stores: readonly RedisCacheStore[],
    { workers = 8, pause = 2 } = {},
  ) {
    // A call is not to blame for the time in which this process did not run.
    let last = performance.now();
    this.heartbeat = setInterval(() => {
      const now = performance.now();
      this.stalledUntil += Math.max(0, now - last - BEAT);
      last = now;
    }, BEAT);
    this.workers = Array.from({ length: workers }, (_, i) => this.work(i, pause));
  }

  /** How many calls have been made. */
  get made(): number {
    return this.calls;
  }

  /** Calls that succeeded after a moment of `performance.now()`. */
  successesSince(moment: number): number {
    return this.succeeded.filter((at) => at > moment).length;
  }

  /** Ends the load, and looks what is there. `healedAt`: when the fault was over. */
  async finish(fault: string, healedAt: number): Promise<LoadReport> {
    await this.stop();
    const outcomes = { acknowledged: 0, 'not-sent': 0, unknown: 0, refused: 0 };
    for (const outcome of this.told.values()) outcomes[outcome]++;
    const recovery = Math.min(...this.succeeded.filter((at) => at > healedAt).map((at) => at - healedAt));
    const { lost, ghosts } = await this.holdToIt();
    const { calls, longest } = this;
    reportFault(fault, {
      calls,
      'acknowledged writes': outcomes.acknowledged,
      lost,
      'reported not sent': outcomes['not-sent'],
      'reported unknown': outcomes.unknown,
      'longest call (ms)': Math.round(longest),
      'recovery (ms)': Math.round(recovery),
    });
    return { calls, outcomes, longest, recovery, lost, ghosts, misreads: this.wrongReads.length };
  }

  /** Ends the load. Repeating it is harmless. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.workers);
    clearInterval(this.heartbeat);
  }

  private async work(worker: number, pause: number): Promise<void> {
    const store = this.stores[worker % this.stores.length];
    if (!store) throw new Error('no store');
    for (let n = 0; this.running; n++) {
      const key = `${worker}-${n}`;
      this.told.set(key, await this.timed(() => store.put(key, n)));
      const earlier = `${worker}-${Math.floor(n / 2)}`;
      await this.timed(async () => {
        const value = await store.get(earlier);
        // Absence, and another value, would be lies; an outage is not.
        if (this.told.get(earlier) === 'acknowledged' && value !== Math.floor(n / 2)) this.wrongReads.push(earlier);
      });
      await delay(pause);
    }
  }

  private async timed(call: () => Promise<void>): Promise<Outcome> {
    const begun = performance.now();
    const stalled = this.stalledUntil;
    this.calls++;
    try {
      await call();
      this.succeeded.push(performance.now());
      return 'acknowledged';
    } catch (error) {
      return error instanceof CacheUnavailableError ? error.outcome : 'refused';
    } finally {
      this.longest = Math.max(this.longest, performance.now() - begun - (this.stalledUntil - stalled));
    }
  }

  private async holdToIt(): Promise<{ lost: number; ghosts: number }> {
    const [store] = this.stores;
    if (!store) throw new Error('no store');
    const keys = [...this.told.keys()];
    const found: unknown[] = [];
    // In portions, and again where a busy machine does not read one within the short timeout of these stores.
    for (let i = 0; i < keys.length; i += 200) {
      found.push(...(await eventually(() => store.getMany(keys.slice(i, i + 200)), { timeout: 15_000 })));
    }
    const count = (outcome: Outcome, isThere: boolean) =>
      keys.filter((key, i) => this.told.get(key) === outcome && (found[i] !== undefined) === isThere).length;
    return { lost: count('acknowledged', false), ghosts: count('not-sent', true) };
  }
}

/** What holds in every fault, also where asynchronous replication loses acknowledged writes. */
export function expectCallsSettled(report: LoadReport, timeout: number): void {
  expect(report).toMatchObject({ ghosts: 0 });
  expect(report.outcomes.acknowledged).toBeGreaterThan(0);
  expect(report.longest).toBeLessThan(timeout + SLACK);
  expect(report.recovery).toBeLessThan(Infinity);
}

/** The promises that hold in every fault that a client can survive. */
export function expectPromisesKept(report: LoadReport, timeout: number): void {
  expectCallsSettled(report, timeout);
  expect(report).toMatchObject({ lost: 0, misreads: 0 });
}
