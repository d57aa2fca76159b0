import { setTimeout as sleep } from 'node:timers/promises';
import type { Recorder } from './recorder.js';

export interface WorkloadOptions {
  /** Begins every value that this process writes. */
  name: string;
  keys: readonly string[];
  tags: readonly string[];
  counters: readonly string[];
  callers: number;
  /** The longest pause of a caller between two calls, in ms. */
  pause: number;
}

/** How often each call is made, of all together. */
export type Mix<Work> = readonly (readonly [share: number, action: (work: Work) => Promise<void>])[];

const MIX: Mix<Workload> = [
  [28, (work) => work.recorder.get(work.key())],
  [8, (work) => work.recorder.getMany([work.key(), work.key(), work.key()])],
  [18, (work) => work.recorder.put(work.key(), work.value(), work.someTags())],
  [7, (work) => work.recorder.putIfAbsent(work.key(), work.value(), work.someTags())],
  [6, (work) => work.recorder.replace(work.key(), work.value())],
  [3, (work) => work.recorder.replace(work.key(), work.value(), work.someTags())],
  [7, (work) => work.recorder.update(work.key(), () => work.value())],
  [2, (work) => work.recorder.update(work.key(), () => work.value(), work.someTags())],
  [7, (work) => work.move()],
  [7, (work) => work.recorder.take(work.key())],
  [4, (work) => work.recorder.delete(work.key())],
  [6, (work) => work.recorder.deleteIf(work.key())],
  [4, (work) => work.recorder.deleteByTag(work.tag())],
  [3, (work) => work.recorder.increment(work.counter())],
  [1, (work) => work.recorder.counter(work.counter())],
  [0.3, (work) => work.recorder.resetCounter(work.counter())],
];

/** How many of the calls are about a record that was moved. */
const MOVED = 0.2;

/** Callers that call at random, until they are stopped. */
export class Workload {
  private written = 0;
  private moves = 0;
  /** Keys that this process has moved records to, the newest last; nobody else knows them. */
  private readonly moved: string[] = [];
  private readonly calling;

  constructor(
    readonly recorder: Recorder,
    private readonly options: WorkloadOptions,
  ) {
    this.calling = callers(this, MIX, options);
  }

  /** Reads everything once more. */
  async readAll(): Promise<void> {
    for (const key of [...this.options.keys, ...this.moved]) await this.recorder.get(key);
    for (const key of this.options.counters) await this.recorder.counter(key);
  }

  stop(): Promise<void> {
    return this.calling.stop();
  }

  key(): string {
    return this.moved.length > 0 && Math.random() < MOVED ? pick(this.moved) : pick(this.options.keys);
  }

  /** Moves a record to a key that nobody has ever called. */
  move(): Promise<void> {
    const to = `${this.options.name}-moved${++this.moves}`;
    const done = () => {
      this.moved.push(to);
      if (this.moved.length > this.options.keys.length) this.moved.shift();
    };
    return this.recorder.move(this.key(), to, () => this.value(), this.someTags(), done);
  }

  counter(): string {
    return pick(this.options.counters);
  }

  tag(): string {
    return pick(this.options.tags);
  }

  someTags(): string[] {
    return Math.random() < 0.6 ? [this.tag()] : [];
  }

  /** No value is written twice. */
  value(): string {
    return `${this.options.name}.${++this.written}`;
  }
}

/** Begins so many callers, which call at random until they are stopped. */
export function callers<Work>(
  work: Work,
  mix: Mix<Work>,
  { callers: count, pause }: { callers: number; pause: number },
) {
  const calling = { isOn: true };
  const call = async () => {
    while (calling.isOn) {
      await action(mix)(work);
      await sleep(Math.random() * pause);
    }
  };
  const all = Array.from({ length: count }, call);
  const stop = async () => {
    calling.isOn = false;
    await Promise.all(all);
  };
  return { stop };
}

function action<Work>(mix: Mix<Work>) {
  let left = Math.random() * mix.reduce((sum, [share]) => sum + share, 0);
  for (const [share, chosen] of mix) {
    left -= share;
    if (left < 0) return chosen;
  }
  throw new Error('the shares do not add up');
}

export function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T;
}
