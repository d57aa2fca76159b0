import { LONG } from '../support/fault-report.js';
import { type Interval, isLinearizable, type Model } from './checker.js';

type RegisterCall = { write: number } | { read: number } | { swap: readonly [from: number, to: number] };

/** A register that holds 0 at first, with compare-and-set. */
const register: Model<number, RegisterCall> = {
  initial: 0,
  step(state, call) {
    if ('write' in call) return call.write;
    if ('read' in call) return call.read === state ? state : undefined;
    return call.swap[0] === state ? call.swap[1] : undefined;
  },
  keyOf: String,
  believe: (call) => ('write' in call ? call.write : 'read' in call ? call.read : call.swap[1]),
};

type QueueCall = { enqueue: string } | { dequeue: string };

const queue: Model<readonly string[], QueueCall> = {
  initial: [],
  step(state, call) {
    if ('enqueue' in call) return [...state, call.enqueue];
    return state[0] === call.dequeue ? state.slice(1) : undefined;
  },
  keyOf: (state) => state.join(),
  believe: () => [],
};

function at<Call extends object>(begin: number, end: number, call: Call): Interval<Call> {
  return { call, begin, end, effect: 'read' in call ? 'read' : 'write' };
}

/** Of a process that crashed, or whose answer was lost. */
function unanswered<Call extends object>(begin: number, call: Call): Interval<Call> {
  return { call, begin, end: Infinity, effect: 'maybe' };
}

interface Example<Call> {
  title: string;
  calls: Interval<Call>[];
}

// M. P. Herlihy, J. M. Wing: Linearizability, a correctness condition for concurrent objects (1990), figures 1 and 2.
const GOOD_QUEUES: Example<QueueCall>[] = [
  {
    title: 'enqueues that met are dequeued in either order (H1)',
    calls: [
      at(0, 3, { enqueue: 'x' }),
      at(1, 2, { enqueue: 'y' }),
      at(4, 5, { dequeue: 'x' }),
      at(6, 7, { dequeue: 'y' }),
      unanswered(8, { enqueue: 'z' }),
    ],
  },
  {
    title: 'what an unanswered enqueue brought is dequeued (H3)',
    calls: [unanswered(0, { enqueue: 'x' }), at(1, 2, { dequeue: 'x' })],
  },
];
const BAD_QUEUES: Example<QueueCall>[] = [
  {
    title: 'the second of two enqueues is dequeued first (H2)',
    calls: [at(0, 1, { enqueue: 'x' }), at(2, 4, { enqueue: 'y' }), at(3, 5, { dequeue: 'y' })],
  },
  {
    title: 'one element is dequeued twice (H4)',
    calls: [
      at(0, 2, { enqueue: 'x' }),
      at(1, 3, { enqueue: 'y' }),
      at(4, 6, { dequeue: 'y' }),
      at(5, 7, { dequeue: 'y' }),
    ],
  },
];

const GOOD_REGISTERS: Example<RegisterCall>[] = [
  {
    title: 'reads during a write that see it or do not (A. Athalye: Porcupine)',
    calls: [at(0, 100, { write: 100 }), at(25, 75, { read: 100 }), at(30, 60, { read: 0 })],
  },
  {
    title: 'a crashed write that is seen much later (K. Kingsbury: Knossos)',
    calls: [unanswered(0, { write: 1 }), at(1, 2, { read: 0 }), at(3, 4, { read: 0 }), at(5, 6, { read: 1 })],
  },
  {
    title: 'a crashed write that is never seen',
    calls: [unanswered(0, { write: 1 }), at(1, 2, { read: 0 }), at(3, 4, { write: 2 }), at(5, 6, { read: 2 })],
  },
  {
    title: 'compare-and-sets that can follow one another, begun in another order',
    calls: [
      at(0, 9, { swap: [2, 3] }),
      at(1, 8, { swap: [1, 2] }),
      at(2, 7, { swap: [0, 1] }),
      at(10, 11, { read: 3 }),
    ],
  },
];
const BAD_REGISTERS: Example<RegisterCall>[] = [
  {
    title: 'the old value after the new one (A. Athalye: Porcupine; L. Lamport: new-old inversion)',
    calls: [at(0, 100, { write: 200 }), at(10, 30, { read: 200 }), at(40, 90, { read: 0 })],
  },
  {
    title: 'a stale read',
    calls: [at(0, 1, { write: 1 }), at(2, 3, { write: 2 }), at(4, 5, { read: 1 })],
  },
  {
    title: 'a value that nobody wrote',
    calls: [at(0, 1, { write: 1 }), at(2, 3, { read: 5 })],
  },
  {
    title: 'two compare-and-sets from one value (lost update)',
    calls: [at(0, 3, { swap: [0, 1] }), at(1, 2, { swap: [0, 2] })],
  },
  {
    title: 'a crashed write that takes effect twice',
    calls: [
      unanswered(0, { write: 1 }),
      at(1, 2, { read: 1 }),
      at(3, 4, { write: 2 }),
      at(5, 6, { read: 2 }),
      at(7, 8, { read: 1 }),
    ],
  },
  {
    title: 'two readers that see two writes in two orders',
    calls: [
      at(0, 20, { write: 1 }),
      at(0, 20, { write: 2 }),
      at(1, 2, { read: 1 }),
      at(3, 4, { read: 2 }),
      at(5, 6, { read: 1 }),
    ],
  },
];

describe('Of the histories of the literature the checker', () => {
  it.each(GOOD_QUEUES)('accepts a queue: $title', ({ calls }) => {
    expect(isLinearizable(queue, calls)).toBe(true);
  });
  it.each(BAD_QUEUES)('rejects a queue: $title', ({ calls }) => {
    expect(isLinearizable(queue, calls)).toBe(false);
  });
  it.each(GOOD_REGISTERS)('accepts a register: $title', ({ calls }) => {
    expect(isLinearizable(register, calls)).toBe(true);
  });
  it.each(BAD_REGISTERS)('rejects a register: $title', ({ calls }) => {
    expect(isLinearizable(register, calls)).toBe(false);
  });

  it('agrees with a search through all orders, on thousands of random histories', () => {
    const verdicts = { true: 0, false: 0 };
    for (let round = 0; round < (LONG ? 100_000 : 3000); round++) {
      const calls = randomCalls();
      const verdict = isLinearizable(register, calls);
      expect({ calls, verdict }).toEqual({ calls, verdict: hasOrder(0, calls) });
      verdicts[`${verdict}`]++;
    }
    expect(Math.min(...Object.values(verdicts))).toBeGreaterThan(300);
  }, 600_000);
});

function randomCalls(): Interval<RegisterCall>[] {
  const random = (below: number) => Math.floor(Math.random() * below);
  return Array.from({ length: 2 + random(5) }, () => {
    const begin = random(12);
    const end = begin + 1 + random(8);
    const kind = random(5);
    if (kind < 2) return at(begin, end, { read: random(3) });
    const call = kind === 2 ? { swap: [random(3), random(3)] as const } : { write: 1 + random(2) };
    if (random(4) === 0) return unanswered(begin, call);
    return random(5) === 0 ? { ...at(begin, end, call), effect: 'repeated' } : at(begin, end, call);
  });
}

/** By definition: some call that no other has to precede comes first, and the rest has an order after it. */
function hasOrder(state: number, calls: readonly Interval<RegisterCall>[], repeats = 0): boolean {
  const due = calls.filter(({ effect }) => effect === 'read' || effect === 'write');
  if (due.length === 0) return true;
  const firstEnd = Math.min(...due.map(({ end }) => end));
  return calls.some((first) => {
    const { effect, begin } = first;
    if (begin > firstEnd) return false;
    const after = register.step(state, first.call);
    if (after === undefined) return false;
    // A repeated call comes as often as needed, but not after what began when it had ended.
    const left = calls.filter((call) => !(call.effect === 'repeated' && call.end < begin));
    if (effect === 'repeated') return repeats < 6 && hasOrder(after, left, repeats + 1);
    return hasOrder(
      after,
      left.filter((call) => call !== first),
      repeats,
    );
  });
}
