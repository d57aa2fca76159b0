import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import type {
  AttemptLimiter,
  OneTimeCodes,
  RedisCacheAuthOptions,
  RefreshTokens,
  Sessions,
} from 'nestjs-redis-cache-store/auth';
import { eventually } from '../../support/eventually.js';
import { TcpProxy } from '../../support/proxy.js';
import type { RedisServer } from '../../support/redis-server.js';
import { WorkerProcess } from '../../support/worker-process.js';

type Worker = WorkerProcess<typeof import('../../support/workers/tokens.worker.js')>;

interface Services {
  readonly sessions: Sessions<number>;
  readonly refreshTokens: RefreshTokens<number>;
  readonly codes: OneTimeCodes<number>;
  readonly attempts: AttemptLimiter;
}
type MethodOf<Service> = {
  [Name in keyof Service]: Service[Name] extends (...args: never) => Promise<unknown> ? Name : never;
}[keyof Service];
type Arguments<Method> = Method extends (...args: infer Args) => unknown ? Args : never;
type Result<Method> = Method extends (...args: never) => Promise<infer Value> ? Value : never;

/** What happens to the process that is called, or to its connections, while it is called. */
export type Fault =
  | { readonly kind: 'none' }
  /** The reply is lost that comes after so many others. */
  | { readonly kind: 'lost reply'; readonly others: number }
  | { readonly kind: 'cut' | 'kill'; readonly after: number };

/** Which of the two processes is called, how often at once, and what happens meanwhile. */
export interface Calling {
  readonly at: 0 | 1;
  readonly calls: number;
  readonly fault: Fault;
}

const ms = fc.nat(4);
export const calling: fc.Arbitrary<Calling> = fc.record({
  at: fc.constantFrom<0 | 1>(0, 1),
  calls: fc.constantFrom(1, 1, 2, 4),
  fault: fc.oneof(
    { weight: 8, arbitrary: fc.constant<Fault>({ kind: 'none' }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant<'lost reply'>('lost reply'), others: fc.constantFrom(0, 0, 1, 2) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant<'cut'>('cut'), after: ms }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant<'kill'>('kill'), after: ms }) },
  ),
});

/** What a call gave: nobody knows whether it was carried out (`lost`), it was refused by a limit, or it has a value. */
export type Told<T> = { readonly value: T } | 'refused' | 'lost';

/** The values among what calls gave. */
export function valuesOf<T>(told: readonly Told<T>[]): T[] {
  return told.flatMap((each) => (typeof each === 'string' ? [] : [each.value]));
}

/** Two processes of an application, each behind a proxy; one that is killed is replaced. */
export class Instances {
  static async start(server: RedisServer, options: RedisCacheAuthOptions): Promise<Instances> {
    const instances = new Instances(server, options);
    await Promise.all([instances.replace(0), instances.replace(1)]);
    return instances;
  }

  /** How many calls nobody knows the outcome of. */
  lost = 0;
  /** How often each fault has happened. */
  readonly faults: Record<Fault['kind'], number> = { none: 0, 'lost reply': 0, cut: 0, kill: 0 };
  /** To start a process takes a second: a kill after so many more is a cut, unless a counterexample is looked for. */
  killsLeft = 0;
  hasFailed = false;
  private readonly running: (Instance | undefined)[] = [undefined, undefined];

  private constructor(
    readonly server: RedisServer,
    private readonly options: RedisCacheAuthOptions,
  ) {}

  /** Calls a method in one of the processes. All that it has begun has happened, or never will, when this resolves. */
  async call<Kind extends keyof Services, Name extends MethodOf<Services[Kind]> & string>(
    { at, calls, fault: asked }: Calling,
    kind: Kind,
    method: Name,
    ...args: Arguments<Services[Kind][Name]>
  ): Promise<Told<Result<Services[Kind][Name]>>[]> {
    const isSpared = asked.kind === 'kill' && !this.hasFailed && this.killsLeft-- <= 0;
    const fault: Fault = isSpared ? { ...asked, kind: 'cut' } : asked;
    this.faults[fault.kind]++;
    const { worker, proxy } = this.running[at] as Instance;
    if (fault.kind === 'lost reply') void proxy.dropReplies(fault.others);
    const ask = () => worker.run('callService', kind, method, args, calls).catch(() => undefined); // killed
    const answer = fault.kind === 'none' ? untilSent(ask) : ask();
    if (fault.kind === 'cut' || fault.kind === 'kill') {
      await sleep(fault.after);
      if (fault.kind === 'cut') proxy.endConnections();
      else await worker.kill();
    }
    const told = await answer;
    if (fault.kind === 'kill') {
      await eventually(() => expect(proxy.open).toBe(0), { interval: 2 });
      await proxy.stop();
      await this.replace(at);
    } else {
      await proxy.resume();
      await this.haveBeenRead(proxy.ended);
    }
    const unknown = { value: undefined, error: { name: 'CacheUnavailableError', code: '', text: 'killed' } };
    return (told ?? Array.from({ length: calls }, () => unknown)).map(({ value, error }) => {
      if (!error) return { value: value as Result<Services[Kind][Name]> };
      if (error.name === 'CacheUnavailableError') {
        this.lost++;
        return 'lost';
      }
      if (error.code === 'TOO_MANY_SESSIONS' || error.code === 'TOO_MANY_ATTEMPTS') return 'refused';
      throw new Error(error.text);
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.running.map((instance) => instance?.worker.kill()));
    await Promise.all(this.running.map((instance) => instance?.proxy.stop()));
  }

  private async replace(at: 0 | 1): Promise<void> {
    const proxy = await TcpProxy.start(this.server);
    const env = { REDIS_URL: proxy.url, AUTH: JSON.stringify(this.options) };
    this.running[at] = { proxy, worker: await WorkerProcess.start('tokens.worker', env) };
  }

  /** Resolves when the server has read all that came by connections that were ended. */
  private async haveBeenRead(ended: Set<number>): Promise<void> {
    if (ended.size === 0) return;
    await eventually(
      async () => {
        const clients = String(await this.server.cli('CLIENT', 'LIST'));
        for (const port of ended) expect(clients).not.toContain(` addr=127.0.0.1:${port} `);
      },
      { interval: 2 },
    );
    ended.clear();
  }
}

/** The answers to calls that were sent: after many cuts in a row a process pauses before it connects again. */
async function untilSent<T extends { error?: { outcome?: string | undefined } }>(ask: () => Promise<T[] | undefined>) {
  for (;;) {
    const told = await ask();
    if (!told?.every(({ error }) => error?.outcome === 'not-sent')) return told;
    await sleep(100);
  }
}

interface Instance {
  readonly worker: Worker;
  readonly proxy: TcpProxy;
}

/** One step of a run: a call, and what has to hold of its answers. */
export class Step<Model extends object> implements fc.AsyncCommand<Model, Instances> {
  constructor(
    private readonly name: string,
    private readonly parameters: object,
    private readonly take: (model: Model, instances: Instances) => Promise<void>,
  ) {}

  check(): boolean {
    return true;
  }

  async run(model: Model, instances: Instances): Promise<void> {
    try {
      await this.take(model, instances);
    } catch (error) {
      instances.hasFailed = true;
      throw error;
    }
  }

  toString(): string {
    return `${this.name} ${JSON.stringify(this.parameters)}`;
  }
}

/** What a service promises, as a model of it: steps, and what holds at the end of each run. */
export interface ServiceModel<Model extends object> {
  readonly steps: fc.Arbitrary<Step<Model>>[];
  begin(): Model;
  end(model: Model, instances: Instances): Promise<void>;
}

export const CALM: Calling = { at: 0, calls: 1, fault: { kind: 'none' } };

/** Steps of one kind. */
export function steps<Model extends object, Parameters extends Calling>(
  name: string,
  parameters: fc.Arbitrary<Parameters>,
  take: (model: Model, instances: Instances, parameters: Parameters) => Promise<void>,
): fc.Arbitrary<Step<Model>> {
  return parameters.map((given) => new Step(name, given, (model, instances) => take(model, instances, given)));
}
