// An instance of the application whose calls are written down, for test/linearizability/.
import { shiftClock as shift } from '../../linearizability/shifted-clock.js';
import type { INestApplicationContext } from '@nestjs/common';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, type RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import {
  AttemptLimiter,
  OneTimeCodes,
  RedisCacheAuthModule,
  type RedisCacheAuthOptions,
  RefreshTokens,
  Sessions,
} from 'nestjs-redis-cache-store/auth';
import { ATTEMPTS, LIMIT } from '../../linearizability/auth-projection.js';
import { AuthRecorder, type Held, type RecordedServices } from '../../linearizability/auth-recorder.js';
import { AuthWorkload, type AuthWorkloadOptions } from '../../linearizability/auth-workload.js';
import { brokenServices } from '../../linearizability/broken-services.js';
import { brokenStore } from '../../linearizability/broken-stores.js';
import { type Defect, isOfStore } from '../../linearizability/defects.js';
import type { Call } from '../../linearizability/history.js';
import { Journal } from '../../linearizability/journal.js';
import { Recorder } from '../../linearizability/recorder.js';
import { Wallet } from '../../linearizability/wallet.js';
import { Workload, type WorkloadOptions } from '../../linearizability/workload.js';
import { eventually } from '../eventually.js';

/** Looked at by every login, and never reached. */
const FAR = { sessions: 1000, when: 'evict-oldest' } as const;

/** Nothing ends by itself while a run goes on, and a token that was rotated can be sent again for longer than that. */
function authOptions({ nearCache }: RedisCacheModuleOptions): RedisCacheAuthOptions {
  return {
    sessions: { namespace: 'lin-session', idle: '1h', absolute: '2h', limit: FAR, ...(nearCache && { nearCache }) },
    refreshTokens: { namespace: 'lin-refresh', idle: '1h', absolute: '2h', retryWindow: '5m' },
    // Of this length no code is ever given out twice. A budget would answer for a code by what became of others.
    codes: { namespace: 'lin-code', length: 16, attempts: ATTEMPTS, budget: false, secret: '00'.repeat(32) },
    attempts: { namespace: 'lin-attempt', limit: LIMIT, window: '1h' },
  };
}

let app: INestApplicationContext | undefined;
let journal = new Journal('');
let wallet = new Wallet();
let workloads: readonly (Workload | AuthWorkload)[] = [];

/** Starts calling. Store and services are those of the package, or have the defect. */
export async function begin(
  options: RedisCacheModuleOptions,
  ofStore: WorkloadOptions,
  ofAuth: AuthWorkloadOptions,
  defect?: Defect,
): Promise<void> {
  @Module({ imports: [RedisCacheModule.forRoot(options), RedisCacheAuthModule.forFeature(authOptions(options))] })
  class Application {}
  app = await NestFactory.createApplicationContext(Application, { logger: false });
  const store = app.get(RedisCacheStore);
  const services: RecordedServices = {
    sessions: app.get<Sessions<string>>(Sessions, { strict: false }),
    tokens: app.get<RefreshTokens<string>>(RefreshTokens, { strict: false }),
    codes: app.get<OneTimeCodes<string>>(OneTimeCodes, { strict: false }),
    attempts: app.get(AttemptLimiter, { strict: false }),
  };
  journal = new Journal(ofStore.name);
  wallet = new Wallet();
  const usedStore = defect && isOfStore(defect) ? brokenStore(store, defect) : store;
  const usedServices = defect && !isOfStore(defect) ? brokenServices(services, defect) : services;
  workloads = [
    new Workload(new Recorder(journal, usedStore), ofStore),
    new AuthWorkload(new AuthRecorder(ofAuth.name, journal, usedServices, wallet.give), wallet, ofAuth),
  ];
}

/** The wall clock of this process is off by so many ms from now on. */
export function shiftClock(ms: number): void {
  shift(ms);
}

/** How many calls have ended. */
export function made(): number {
  return journal.calls.length;
}

/** The secrets that clients were given since the last time. */
export function news(): readonly Held[] {
  return wallet.news();
}

/** Clients of other processes come with what they were given there. */
export function learn(held: readonly Held[]): void {
  for (const each of held) wallet.learn(each);
}

/** No caller begins another call. */
export async function rest(): Promise<void> {
  await Promise.all(workloads.map((workload) => workload.stop()));
}

/** Waits until Redis answers again, reads every record once more, and answers all that was called. */
export async function end(): Promise<readonly Call[]> {
  await eventually(() => app?.get(RedisCacheStore).has('any'), { timeout: 15_000 });
  for (const workload of workloads) await workload.readAll();
  await app?.close();
  return journal.calls;
}
