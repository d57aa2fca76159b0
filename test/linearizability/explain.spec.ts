import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../support/sources.js';
import { check } from './explain.js';
import { type Call, type History, readHistory, writeHistory } from './history.js';
import { timeline } from './timeline.js';
import { expectLinearizable } from './verdict.js';

const faults = [{ name: 'freeze', begin: 2, end: 4 }];

function history(calls: (Partial<Call> & Pick<Call, 'operation' | 'begin' | 'end'>)[], leases = {}): History {
  const usual = { process: 'p1', key: 'k', outcome: 'ok' as const };
  return { leases, faults, calls: calls.map((call) => ({ ...usual, ...call })) };
}

const STALE = history([
  { operation: 'put', begin: 0, end: 1, value: 'a' },
  { operation: 'get', begin: 2, end: 3, result: 'a' },
  { operation: 'get', key: 'other', begin: 2, end: 3, result: null },
  { operation: 'put', begin: 4, end: 5, value: 'b', tags: ['t'] },
  { operation: 'get', begin: 6, end: 7, result: 'b' },
  { operation: 'get', process: 'p2', begin: 8, end: 9, result: 'a' },
]);

describe('A call that no order explains', () => {
  it('is shown with what contradicts it, and with nothing else', () => {
    const [table = '', ...others] = check(STALE).map((finding) => finding.explain());
    expect(others).toEqual([]);
    expect(table.split('\n')).toEqual([
      'Record k: no order of these calls explains the one marked with ">".',
      'Before them it was b [t].',
      '',
      '   process  begin ms  end ms  call          answer  time',
      '   p1       -8.00     -7.00   put(k a)      done    earlier, or elsewhere',
      '   p1       -4.00     -3.00   put(k b [t])  done    earlier, or elsewhere',
      `>  p2       0.00      1.00    get(k)        a       |${'-'.repeat(38)}|`,
      '',
      'While get(k) went on, the record could be b [t]; the answer was a.',
    ]);
  });

  it.each<[why: string, calls: Parameters<typeof history>[0], leases: Record<string, number>]>([
    [
      'a write that was said not to be sent is read',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a', outcome: 'not-sent' },
        { operation: 'get', begin: 2, end: 3, result: 'a' },
      ],
      {},
    ],
    [
      'two take one record',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a' },
        { operation: 'take', begin: 2, end: 5, result: 'a' },
        { operation: 'take', begin: 3, end: 4, result: 'a', process: 'p2' },
      ],
      {},
    ],
    [
      'a record that was there before a deleteByTag is read after it',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a', tags: ['t'] },
        { operation: 'update', begin: 2, end: 6, saw: 'a', value: 'b', result: 'b' },
        { operation: 'deleteByTag', key: 't', begin: 3, end: 5, result: 1 },
        { operation: 'get', begin: 7, end: 8, result: 'b' },
      ],
      {},
    ],
    [
      'a near copy is older than the lease',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a' },
        { operation: 'put', begin: 2, end: 3, value: 'b' },
        { operation: 'get', begin: 200, end: 201, result: 'a', process: 'p2' },
      ],
      { p2: 100 },
    ],
    [
      'a near copy is older than a write of its own process',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a' },
        { operation: 'put', begin: 2, end: 3, value: 'b', process: 'p2' },
        { operation: 'get', begin: 4, end: 5, result: 'a', process: 'p2' },
      ],
      { p2: 100 },
    ],
    [
      'a counter counts one call twice',
      [
        { operation: 'increment', begin: 0, end: 1, result: 1 },
        { operation: 'increment', begin: 2, end: 3, result: 3 },
      ],
      {},
    ],
  ])('is found when %s', (_, calls, leases) => {
    expect(check(history(calls, leases))).toHaveLength(1);
  });

  it.each<[why: string, calls: Parameters<typeof history>[0], leases: Record<string, number>]>([
    [
      'a write of unknown outcome takes effect after the delete of another',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a', outcome: 'unknown' },
        { operation: 'delete', begin: 2, end: 3, result: false, process: 'p2' },
        { operation: 'get', begin: 4, end: 5, result: 'a' },
      ],
      {},
    ],
    [
      'a deleteByTag misses a record that was put meanwhile, and deletes another twice',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a', tags: ['t'] },
        { operation: 'deleteByTag', key: 't', begin: 2, end: 20, result: 2 },
        { operation: 'get', begin: 3, end: 4, result: null },
        { operation: 'put', begin: 5, end: 6, value: 'b', tags: ['t'] },
        { operation: 'get', begin: 7, end: 8, result: null },
        { operation: 'put', begin: 9, end: 10, value: 'c', tags: ['t'] },
        { operation: 'get', begin: 21, end: 22, result: 'c' },
      ],
      {},
    ],
    [
      'a near copy is younger than the lease',
      [
        { operation: 'put', begin: 0, end: 1, value: 'a' },
        { operation: 'put', begin: 50, end: 51, value: 'b' },
        { operation: 'get', begin: 100, end: 101, result: 'a', process: 'p2' },
      ],
      { p2: 100 },
    ],
  ])('is not found when %s', (_, calls, leases) => {
    expect(check(history(calls, leases)).map((finding) => finding.explain())).toEqual([]);
  });
});

describe('A history that was kept', () => {
  const dir = mkdtempSync(join(tmpdir(), 'history-'));
  const file = join(dir, 'history.jsonl');
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it.each([
    ['all can be explained', { ...STALE, calls: STALE.calls.slice(0, -1) }, 0, 'All 5 calls can be explained.'],
    ['one cannot', STALE, 1, 'Of 6 calls 1 cannot be explained, in 1 records.'],
  ])(
    'is read and checked again: %s',
    (_, kept, status, verdict) => {
      writeHistory(file, kept);
      expect(readHistory(file)).toEqual(kept);
      const loader = join(ROOT, 'test/support/typescript-loader.mjs');
      const args = ['--import', loader, join(ROOT, 'test/linearizability/check.ts'), file];
      const env = { ...process.env, NODE_OPTIONS: '' };
      const run = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT, env });
      expect(run.stdout).toContain(verdict);
      expect(run.status).toBe(status);
    },
    60_000,
  );

  it('is kept by the test that fails for it, which says how to check it again', () => {
    let message = '';
    try {
      expectLinearizable('kept by a test', STALE);
    } catch (error) {
      message = String(error);
    }
    const [path = ''] = /\S+\.jsonl/.exec(message) ?? [];
    expect(message).toContain('no order of these calls explains');
    expect(message).toContain('test/linearizability/check.ts');
    expect(readHistory(join(ROOT, path))).toEqual(STALE);
    rmSync(join(ROOT, path));
    expectLinearizable('kept by a test', { ...STALE, calls: STALE.calls.slice(0, -1) });
  });

  it('is drawn with its faults and outcomes', () => {
    const svg = timeline(STALE);
    expect(svg).toContain('>freeze</text>');
    expect(svg).toContain('>answered</text>');
    expect(svg).not.toContain('unknown outcome');
    expect(svg).not.toContain('NaN');
  });
});
