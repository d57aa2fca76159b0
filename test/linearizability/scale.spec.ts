import { check } from './explain.js';
import type { Call, History, Outcome } from './history.js';
import { recordModel, type RecordCall } from './record-model.js';
import type { RecordState } from './record-state.js';

const CALLS = 100_000;
const KEYS = 200;
const TAGS = 10;
/** How long all of it took, and the longest call, in ms: a call meets one other of its record on average. */
const LASTING = 50_000;
const LONGEST = 200;

/** What a sound store, of which some answers get lost, would have answered. */
function soundHistory(): History {
  const records = new Map<string, RecordState>();
  const random = (below: number) => Math.floor(Math.random() * below);
  const moments = Array.from({ length: CALLS }, () => {
    const begin = Math.random() * LASTING;
    const end = begin + Math.random() * LONGEST;
    return { begin, end, effect: begin + Math.random() * (end - begin) };
  });
  const calls = moments
    .toSorted((one, other) => one.effect - other.effect)
    .map(({ begin, end }, i): Call => {
      const key = `key${random(KEYS)}`;
      const state = records.get(key) ?? recordModel.initial;
      const value = `v${i}`;
      const tags = random(2) ? [`tag${random(TAGS)}`] : [];
      const isLost = random(200) === 0;
      const outcome: Outcome = isLost ? 'unknown' : 'ok';
      const call = { process: `p${i % 8}`, key, begin, end, outcome };
      const apply = (made: RecordCall) => {
        const after = recordModel.step(state, made);
        if (after && !(isLost && random(2))) records.set(key, after);
      };
      const isThere = state.value !== null;
      const put = { value, tags, end: isLost ? Infinity : end };
      switch (random(8)) {
        case 0:
          apply({ operation: 'put', ...put });
          return { ...call, operation: 'put', value, tags };
        case 1:
          apply({ operation: 'putIfAbsent', ...put });
          return { ...call, operation: 'putIfAbsent', value, tags, result: !isThere };
        case 2:
          apply({ operation: 'take' });
          return { ...call, operation: 'take', result: state.value };
        case 3:
          apply({ operation: 'delete' });
          return { ...call, operation: 'delete', result: isThere };
        case 4:
          if (state.value === null) return { ...call, operation: 'update', result: null };
          apply({ operation: 'update', saw: state.value, value, end: call.end });
          return { ...call, operation: 'update', saw: state.value, value, result: value };
        case 5: {
          if (random(20) > 0) break;
          const tag = `tag${random(TAGS)}`;
          const ofAll = { operation: 'signOut', tag } as const;
          for (const [each, before] of records) records.set(each, recordModel.step(before, ofAll) ?? before);
          return { ...call, operation: 'deleteByTag', key: tag, result: 0 };
        }
      }
      return { ...call, operation: 'get', result: state.value };
    });
  return { leases: {}, faults: [], calls };
}

describe('A history of 100,000 calls over 200 records', () => {
  const history = soundHistory();

  it('is checked in less than a minute, and explained if the store was sound', () => {
    const begin = performance.now();
    expect(check(history).map((finding) => finding.explain())).toEqual([]);
    expect(performance.now() - begin).toBeLessThan(60_000);
  }, 120_000);

  it('is not explained if a single answer is wrong', () => {
    const isLate = ({ operation, begin }: Call) => operation === 'get' && begin > LASTING / 2;
    const sound = history.calls.find(isLate) as Call;
    const wrong = { ...sound, outcome: 'ok', result: 'v0' } as const;
    const ofRecord = history.calls.filter(({ key, operation }) => key === sound.key || operation === 'deleteByTag');
    // What follows is checked against the wrong answer, and may be found wrong for it.
    const [first] = check({ ...history, calls: ofRecord.map((call) => (call === sound ? wrong : call)) });
    expect(first?.call).toEqual(wrong);
  }, 120_000);
});
