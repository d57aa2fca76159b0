import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { runInThisContext } from 'node:vm';
import * as fc from 'fast-check';
import ts from 'typescript';
import { boundedTtl, durationProblem, toMilliseconds } from '../../lib/redis-cache.duration.js';
import { ROOT } from '../support/sources.js';

const CENTURY = 100 * 365.25 * 24 * 60 * 60 * 1000;

describe('the ttl of another package', () => {
  it.each([
    [-1, 1],
    [0, 1],
    [1.5, 2],
    [CENTURY, CENTURY],
    [Infinity, CENTURY],
    [NaN, NaN],
  ])('of %d ms is taken for %d ms', (ttl, ms) => {
    expect(boundedTtl(ttl)).toBe(ms);
  });
});

describe('a duration', () => {
  it.each([
    [1, 1],
    [100, 100],
    [0.001, 1],
    [1.5, 2],
    [CENTURY, CENTURY],
    ['250ms', 250],
    ['1.5s', 1500],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['2 hours', 7_200_000],
    ['7 days', 604_800_000],
    ['1w', 604_800_000],
    ['1y', 31_557_600_000],
    ['0.2ms', 1],
  ])('of %j has %d ms', (duration, ms) => {
    expect(toMilliseconds(duration)).toBe(ms);
  });

  // None of these may come to mean "for ever", or "at once".
  const others: unknown[] = [
    0,
    -0,
    -1,
    Number.NaN,
    Infinity,
    -Infinity,
    CENTURY + 1,
    Number.MAX_SAFE_INTEGER,
    '',
    ' ',
    '0',
    '0s',
    '-5m',
    'soon',
    '5 parsecs',
    '30m ago',
    '1h 30m',
    'Infinity',
    'NaN',
    '1e3',
    '3600',
    ' 1.5',
    '.5',
    '5\n',
    '101y',
    '5'.repeat(101),
    null,
    undefined,
    true,
    5n,
    [],
    [5],
    {},
    { valueOf: () => 5 },
    new Date(5),
  ];
  it.each(others.map((duration) => [duration]))('is not %p', (duration) => {
    expect(toMilliseconds(duration)).toBeUndefined();
  });

  it('is a whole number of ms from 1 on, or none, whatever is given', () => {
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.integer(), fc.string(), fc.anything()), (duration) => {
        const ms = toMilliseconds(duration);
        expect(ms === undefined || (Number.isInteger(ms) && ms >= 1 && ms <= CENTURY)).toBe(true);
      }),
    );
  });

  it('is never shorter than given, and longer by at most a millisecond', () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: CENTURY, noNaN: true }), (duration) => {
        const ms = toMilliseconds(duration) ?? 0;
        expect(ms >= duration && ms - duration <= 1).toBe(true);
      }),
    );
  });

  it.each([true, false])('is read after a transform of a consumer with esModuleInterop: %p', (esModuleInterop) => {
    const source = readFileSync(join(ROOT, 'lib', 'redis-cache.duration.ts'), 'utf8');
    const compilerOptions = { module: ts.ModuleKind.CommonJS, esModuleInterop };
    const { outputText } = ts.transpileModule(source, { compilerOptions });
    const exports: { toMilliseconds?: typeof toMilliseconds } = {};
    const run = runInThisContext(`(function (exports, require) { ${outputText}\n})`) as (...args: unknown[]) => void;
    run(exports, createRequire(import.meta.url));
    expect(exports.toMilliseconds?.('30m')).toBe(1_800_000);
  });

  it.each(['3600', ' 3600 ', '3600\n'])(
    'is not %j, which may mean seconds or milliseconds: the advice shows both',
    (text) => {
      expect(durationProblem(text)).toBe("needs a unit: '3600s' for seconds, '3600ms' for milliseconds");
    },
  );

  it.each([0, '-5', 'soon', null, {}])('is not %p, and the advice gives the range and an example', (other) => {
    expect(durationProblem(other)).toMatch(/milliseconds.*'30m'.*1 ms to 100 years/);
  });
});
