/**
 * What a kind of object does when one call comes after the other. States are immutable values.
 *
 * @typeParam State - all that later answers depend on
 * @typeParam Call - an operation with its arguments and its answer
 */
export interface Model<State, Call> {
  /** Before the first call. */
  readonly initial: State;
  /** The state after the call; `undefined`: in this state the call cannot have had the answer that it had. */
  step(state: State, call: Call): State | undefined;
  /** States with the same text are the same. */
  keyOf(state: State): string;
  /** The state that an unexplained call leaves behind, if its answer is believed. */
  believe(call: Call): State;
}

/**
 * A call and the time in which it took effect, in ms.
 *
 * - `read`: once between `begin` and `end`, and the state stays
 * - `write`: once between `begin` and `end`
 * - `maybe`: once after `begin`, or never (an unknown outcome; `end` is Infinity)
 * - `repeated`: any number of times between `begin` and `end`, or never
 */
export interface Interval<Call> {
  readonly call: Call;
  readonly begin: number;
  readonly end: number;
  readonly effect: 'read' | 'write' | 'maybe' | 'repeated';
  /** Of several open `maybe`s with the same text only one has to be tried: their effects are the same. */
  readonly alike?: string;
}

/** A call that no order explains. */
export interface Anomaly<State, Call> {
  readonly interval: Interval<Call>;
  /** What the object could be while the call went on. */
  readonly states: readonly State[];
  /** The last moment before the call at which no write was open, and what the object could be then. */
  readonly calm: Calm<State>;
}

export interface Calm<State> {
  readonly time: number;
  readonly states: readonly State[];
}

/** One way in which all that was answered so far can have happened. The sets hold slots of open intervals. */
interface Way<State> {
  readonly state: State;
  /** Writes that have taken effect. */
  readonly written: bigint;
  /** Reads that are explained. */
  readonly read: bigint;
  /** `maybe`s that were needed. */
  readonly spent: bigint;
}

interface Open<Call> {
  readonly interval: Interval<Call>;
  readonly bit: bigint;
}

/**
 * Looks for an order of the calls of one object, each within its interval, that the model explains; answers the calls
 * for which there is none. After each of them the search goes on from its answer.
 *
 * The search follows Wing and Gong as improved by Lowe ("just in time"): it goes through begins and ends by time, keeps
 * every way in which the calls so far can have happened, and lets an open call take effect no sooner than the end of
 * some call needs it. Ways are kept once for each state, and not at all if another allows all that they allow.
 */
export function findAnomalies<State, Call>(
  model: Model<State, Call>,
  intervals: readonly Interval<Call>[],
  initial: readonly State[] = [model.initial],
): Anomaly<State, Call>[] {
  return new Search(model, initial).run(intervals);
}

/** Whether some order explains all calls. */
export function isLinearizable<State, Call>(model: Model<State, Call>, intervals: readonly Interval<Call>[]): boolean {
  return findAnomalies(model, intervals).length === 0;
}

class Search<State, Call> {
  private ways: Way<State>[];
  private readonly anomalies: Anomaly<State, Call>[] = [];
  private readonly calms: Calm<State>[];
  private readonly open = new Map<Interval<Call>, Open<Call>>();
  private readonly freeBits: bigint[] = [];
  private bits = 0n;
  private openWrites = 0;

  constructor(
    private readonly model: Model<State, Call>,
    initial: readonly State[],
  ) {
    this.ways = initial.map((state) => ({ state, written: 0n, read: 0n, spent: 0n }));
    this.calms = [{ time: -Infinity, states: initial }];
  }

  run(intervals: readonly Interval<Call>[]): Anomaly<State, Call>[] {
    for (const { interval, time, isEnd } of eventsOf(intervals)) {
      if (isEnd) this.end(interval);
      else this.begin(interval);
      if (this.openWrites === 0 && interval.effect === 'write') {
        this.calms.push({ time, states: this.states(this.ways) });
      }
    }
    return this.anomalies;
  }

  private begin(interval: Interval<Call>): void {
    const bit = this.freeBits.pop() ?? 1n << this.bits++;
    const opened = { interval, bit };
    this.open.set(interval, opened);
    if (interval.effect === 'write') this.openWrites++;
    if (interval.effect === 'read') this.ways = this.ways.map((way) => this.explain(way, [opened]));
  }

  private end(interval: Interval<Call>): void {
    const bit = this.open.get(interval)?.bit ?? 0n;
    if (interval.effect === 'write') this.openWrites--;
    const ended = this.advance(interval, bit);
    if (interval.effect === 'repeated') {
      this.ways = [...this.ways, ...ended.ways];
    } else {
      const target = interval.effect === 'read' ? 'read' : 'written';
      if (ended.ways.length === 0) this.reject(interval, ended.visited);
      else this.ways = ended.ways;
      this.ways = this.ways.map((way) => ({ ...way, [target]: way[target] & ~bit }));
    }
    const kept = new Ways<State>(this.model);
    for (const way of this.ways) kept.add(way);
    this.ways = kept.all();
    this.open.delete(interval);
    this.freeBits.push(bit);
  }

  /**
   * Lets open calls take effect, in every order, until this one is explained. A repeated one is explained anyway: this
   * is its last chance to take effect.
   */
  private advance(interval: Interval<Call>, bit: bigint): { ways: Way<State>[]; visited: Way<State>[] } {
    const opened = [...this.open.values()];
    const reads = opened.filter((other) => other.interval.effect === 'read');
    const effects = opened.filter((other) => other.interval.effect !== 'read');
    const seen = new Ways<State>(this.model);
    const done = new Ways<State>(this.model);
    const queue = this.ways.filter((way) => seen.add(way));
    for (let i = 0; i < queue.length; i++) {
      const way = queue[i] as Way<State>;
      if (((way.read | way.written) & bit) !== 0n) {
        done.add(way);
        continue;
      }
      const tried = new Set<string>();
      for (const effect of effects) {
        const next = this.apply(way, effect, tried);
        const explained = next && this.explain(next, reads);
        if (explained === undefined) continue;
        if (effect.interval === interval && interval.effect === 'repeated') done.add(explained);
        if (seen.add(explained)) queue.push(explained);
      }
    }
    return { ways: done.all(), visited: queue };
  }

  private apply(way: Way<State>, { interval, bit }: Open<Call>, tried: Set<string>): Way<State> | undefined {
    if (((way.written | way.spent) & bit) !== 0n) return undefined;
    if (interval.alike !== undefined) {
      if (tried.has(interval.alike)) return undefined;
      tried.add(interval.alike);
    }
    const state = this.model.step(way.state, interval.call);
    if (state === undefined) return undefined;
    switch (interval.effect) {
      case 'write':
        return { ...way, state, written: way.written | bit };
      case 'maybe':
        return { ...way, state, spent: way.spent | bit };
      default:
        return { ...way, state };
    }
  }

  /** A read that can be explained now need not wait: it changes nothing for the others. */
  private explain(way: Way<State>, reads: readonly Open<Call>[]): Way<State> {
    let { read } = way;
    for (const { interval, bit } of reads) {
      if ((read & bit) === 0n && this.model.step(way.state, interval.call) !== undefined) read |= bit;
    }
    return read === way.read ? way : { ...way, read };
  }

  private reject(interval: Interval<Call>, visited: readonly Way<State>[]): void {
    const before = this.calms.findLast(({ time }) => time <= interval.begin);
    const calm = before ?? { time: -Infinity, states: [this.model.initial] };
    this.anomalies.push({ interval, states: this.states(visited), calm });
    const believed = { state: this.model.believe(interval.call), written: 0n, read: 0n, spent: 0n };
    const reads = [...this.open.values()].filter((opened) => opened.interval.effect === 'read');
    this.ways = [this.explain(believed, reads)];
  }

  private states(ways: readonly Way<State>[]): State[] {
    return [...new Map(ways.map(({ state }) => [this.model.keyOf(state), state])).values()];
  }
}

/** Ways without those that another one makes needless: more reads explained, fewer `maybe`s spent. */
class Ways<State> {
  private readonly groups = new Map<string, Way<State>[]>();

  constructor(private readonly model: Pick<Model<State, never>, 'keyOf'>) {}

  /** Whether it was worth keeping. */
  add(way: Way<State>): boolean {
    const key = `${way.written} ${this.model.keyOf(way.state)}`;
    const group = this.groups.get(key) ?? [];
    if (group.some((other) => allows(other, way))) return false;
    this.groups.set(key, [...group.filter((other) => !allows(way, other)), way]);
    return true;
  }

  all(): Way<State>[] {
    return [...this.groups.values()].flat();
  }
}

function allows<State>(one: Way<State>, other: Way<State>): boolean {
  return (one.read & other.read) === other.read && (one.spent & other.spent) === one.spent;
}

interface Event<Call> {
  readonly interval: Interval<Call>;
  readonly time: number;
  readonly isEnd: boolean;
}

/** By time; of the same moment the begins come first, since such calls may have met. */
function eventsOf<Call>(intervals: readonly Interval<Call>[]): Event<Call>[] {
  const events = intervals.flatMap((interval) => [
    { interval, time: interval.begin, isEnd: false },
    ...(interval.end === Infinity ? [] : [{ interval, time: interval.end, isEnd: true }]),
  ]);
  return events.toSorted((one, other) => one.time - other.time || Number(one.isEnd) - Number(other.isEnd));
}
