import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import { WorkerProcess } from '../support/worker-process.js';
import type { Defect } from './defects.js';
import { type Fault, type History, now } from './history.js';

type Worker = WorkerProcess<typeof import('../support/workers/history.worker.js')>;

export interface Load {
  keys: number;
  /** Of tags, and of counters. */
  tags: number;
  /** Of the store, of each process. */
  callers: number;
  /** Callers of the services of /auth, of each process. */
  clients: number;
  /** The longest pause of a caller between two calls, in ms. */
  pause: number;
}

/** What one process of a fleet is like. */
export interface Crew {
  url: string;
  /** With a near cache; the lease in ms. */
  lease?: number;
  /** What its wall clock is off by, in ms. */
  clock?: number;
  defect?: Defect;
}

/** The ms after which the clients of one process come to the others. */
const PASSED_ON = 20;

/** Several processes of an application on one Redis, whose calls become one history. */
export class Fleet {
  static async start(processes: number): Promise<Fleet> {
    const start = () => WorkerProcess.start<typeof import('../support/workers/history.worker.js')>('history.worker');
    return new Fleet(await Promise.all(Array.from({ length: processes }, start)));
  }

  private constructor(private readonly workers: readonly Worker[]) {}

  /**
   * One run: all call, `meanwhile` does to Redis what it has to do, and when all is well again every process reads every
   * record once more.
   */
  async run(
    load: Load,
    crews: readonly Crew[],
    store: RedisCacheModuleOptions,
    meanwhile: (faults: Faults) => Promise<void>,
  ): Promise<History> {
    const workers = this.workers.slice(0, crews.length);
    const each = <T>(action: (worker: Worker, crew: Crew, name: string) => Promise<T>) =>
      Promise.all(workers.map((worker, i) => action(worker, crews[i] as Crew, `p${i + 1}`)));
    const keys = names('key', load.keys);
    const tags = names('tag', load.tags);
    const counters = names('counter', load.tags);
    const subjects = names('user', load.tags);
    await each(async (worker, { url, lease, clock = 0, defect }, name) => {
      await worker.run('shiftClock', clock);
      const options = { ...store, url, ...(lease && { nearCache: { lease } }) };
      const work = { ...load, name, keys, tags, counters };
      await worker.run('begin', options, work, { ...load, callers: load.clients, name, subjects }, defect);
    });
    const faults = new Faults();
    await this.passingOn(workers, () => meanwhile(faults));
    await each((worker) => worker.run('rest'));
    // One after the other, so that a record that only some of them see is told.
    const calls = [];
    for (const worker of workers) calls.push(...(await worker.run('end')));
    const leases = await each(async (_, { lease }, name) => (lease ? [[name, lease] as const] : []));
    return { leases: Object.fromEntries(leases.flat()), faults: faults.all, calls };
  }

  /** The wall clock of the nth process is off by so many ms from now on. */
  async shiftClock(nth: number, ms: number): Promise<void> {
    await this.workers[nth]?.run('shiftClock', ms);
  }

  /** How many calls of this run have ended. */
  async made(): Promise<number> {
    const counts = await Promise.all(this.workers.map((worker) => worker.run('made')));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Meanwhile the clients of each process come to the others as well, with what they were given. */
  private async passingOn(workers: readonly Worker[], meanwhile: () => Promise<void>): Promise<void> {
    const run = { isOver: false };
    const passing = (async () => {
      while (!run.isOver) {
        const news = await Promise.all(workers.map((worker) => worker.run('news')));
        await Promise.all(workers.map((worker, i) => worker.run('learn', news.toSpliced(i, 1).flat())));
        await sleep(PASSED_ON);
      }
    })();
    await Promise.all([passing, meanwhile().finally(() => (run.isOver = true))]);
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
  }
}

/** What was done to Redis, and when. */
export class Faults {
  readonly all: Fault[] = [];

  async during(name: string, fault: () => Promise<unknown>): Promise<void> {
    const begin = now();
    try {
      await fault();
    } finally {
      this.all.push({ name, begin, end: now() });
    }
  }
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}
