// An instance of the application whose calls are written down, for test/linearizability/.
import { shiftClock as shift } from '../../linearizability/shifted-clock.js';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, type RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { broken, type Defect } from '../../linearizability/broken-stores.js';
import type { Call } from '../../linearizability/history.js';
import { Recorder } from '../../linearizability/recorder.js';
import { Workload, type WorkloadOptions } from '../../linearizability/workload.js';
import { eventually } from '../eventually.js';

let app: INestApplicationContext | undefined;
let workload: Workload | undefined;

/** Starts calling. The store is that of the package, or has the defect. */
export async function begin(store: RedisCacheModuleOptions, work: WorkloadOptions, defect?: Defect): Promise<void> {
  app = await NestFactory.createApplicationContext(RedisCacheModule.forRoot(store), { logger: false });
  const sound = app.get(RedisCacheStore);
  workload = new Workload(new Recorder(work.name, defect ? broken(sound, defect) : sound), work);
}

/** The wall clock of this process is off by so many ms from now on. */
export function shiftClock(ms: number): void {
  shift(ms);
}

/** How many calls have ended. */
export function made(): number {
  return workload?.recorder.calls.length ?? 0;
}

/** No caller begins another call. */
export async function rest(): Promise<void> {
  await workload?.stop();
}

/** Waits until Redis answers again, reads every record once more, and answers all that was called. */
export async function end(): Promise<readonly Call[]> {
  await eventually(() => app?.get(RedisCacheStore).has('any'), { timeout: 15_000 });
  await workload?.readAll();
  await app?.close();
  return workload?.recorder.calls ?? [];
}
