import { ATTEMPTS, LIMIT } from './auth-projection.js';
import { check } from './explain.js';
import type { AuthOperation, Call, History, Outcome } from './history.js';

type About = Partial<Call> & Pick<Call, 'key'>;

/** One call after the other, each 1 ms long; `at` puts one elsewhere. */
function history(
  ...calls: (About & { operation: AuthOperation; at?: readonly [begin: number, end: number] })[]
): History {
  return {
    leases: { near: 100 },
    faults: [],
    calls: calls.map(({ at, ...call }, i) => {
      const [begin, end] = at ?? [2 * i, 2 * i + 1];
      return { process: 'p1', begin, end, outcome: 'ok' as const, ...call };
    }),
  };
}

const KEY = { key: 'it' };
const UNKNOWN = { outcome: 'unknown' as Outcome };
const ALL = { key: 'sessions of user' };
const tags = [ALL.key];

const create = { ...KEY, operation: 'sessions.create', given: 's1', value: 'a', tags } as const;
const get = (secret: string, result: string | null) => ({ ...KEY, operation: 'sessions.get', secret, result }) as const;
const regenerate = (secret: string, given: string, value: string) =>
  ({ ...KEY, operation: 'sessions.regenerate', secret, given, value, result: value }) as const;
const overlap = (secret: string, given: string, data: string) =>
  ({ ...KEY, operation: 'sessions.regenerate', secret, given, result: data }) as const;
const revokeAll = { ...ALL, operation: 'sessions.revokeAll', result: 1 } as const;

const revokeOthers = (except: string, outcome: Outcome) =>
  ({ ...ALL, operation: 'sessions.revokeOthers', except, outcome, ...(outcome === 'ok' && { result: 1 }) }) as const;

const issue = { ...KEY, operation: 'tokens.issue', given: 't0', tags: ['families of user'] } as const;
const rotate = (secret: string, result: string, given?: string) =>
  ({ ...KEY, operation: 'tokens.rotate', secret, result, ...(given && { given }) }) as const;
const lost = (secret: string) => ({ ...KEY, ...UNKNOWN, operation: 'tokens.rotate', secret }) as const;

const code = (given: string) => ({ ...KEY, operation: 'codes.issue', given }) as const;
const redeem = (secret: string, result: boolean | number | null) =>
  ({ ...KEY, operation: 'codes.redeem', secret, result }) as const;

const hit = (count: number) => ({ ...KEY, operation: 'attempts.hit', result: count }) as const;
const refused = (count: number) => ({ ...KEY, operation: 'attempts.hit', result: false, saw: String(count) }) as const;
const upTo = (count: number) => Array.from({ length: count }, (_, i) => hit(i + 1));

describe('The models of sessions, refresh tokens, codes and attempts', () => {
  it.each<[why: string, history: History]>([
    ['a session is read after revokeAll', history(create, revokeAll, get('s1', 'a'))],
    [
      'a session is read after revokeAll that was regenerated meanwhile',
      history(
        create,
        { ...revokeAll, at: [2, 10] },
        { ...regenerate('s1', 's2', 'b'), at: [3, 12] },
        { ...get('s2', 'b'), at: [13, 14] },
      ),
    ],
    ['a token is read after its session was regenerated', history(create, regenerate('s1', 's2', 'b'), get('s1', 'a'))],
    ['a token is regenerated twice', history(create, regenerate('s1', 's2', 'b'), regenerate('s1', 's3', 'c'))],
    [
      'an old token is read during an overlap after revokeAll',
      history(create, overlap('s1', 's2', 'a'), revokeAll, get('s1', 'a')),
    ],
    [
      'an old token is regenerated during an overlap',
      history(create, overlap('s1', 's2', 'a'), regenerate('s1', 's3', 'b')),
    ],
    [
      'an old token leads to a session that was regenerated since without an overlap',
      history(create, overlap('s1', 's2', 'a'), regenerate('s2', 's3', 'b'), get('s1', 'b')),
    ],
    ['an old token is worth nothing during an overlap', history(create, overlap('s1', 's2', 'a'), get('s1', null))],
    ['a session is gone that nobody ended', history(create, get('s1', null))],
    [
      'a session is gone after a regenerate that says so, though nobody ended it',
      history(
        create,
        { ...KEY, operation: 'sessions.regenerate', secret: 's1', value: 'b', result: null },
        get('s1', null),
      ),
    ],
    [
      'a session is gone after a revokeOthers that was not sent',
      history(create, revokeOthers('another', 'not-sent'), get('s1', null)),
    ],
    ['revokeOthers ends its own session', history(create, revokeOthers(KEY.key, 'ok'), get('s1', null))],
    [
      'a near copy of a session is older than the lease',
      history(
        create,
        { ...KEY, operation: 'sessions.revokeToken', secret: 's1', result: true },
        { ...get('s1', 'a'), process: 'near', at: [200, 201] },
      ),
    ],
    ['a refresh token is rotated twice', history(issue, rotate('t0', 'rotated', 't1'), rotate('t0', 'rotated', 't2'))],
    [
      'a refresh token has two successors',
      history(issue, rotate('t0', 'rotated', 't1'), rotate('t0', 'retried', 't2')),
    ],
    [
      'a successor is given again after its use',
      history(issue, rotate('t0', 'rotated', 't1'), rotate('t1', 'rotated', 't2'), rotate('t0', 'retried', 't1')),
    ],
    ['the current token is taken for a stolen one', history(issue, rotate('t0', 'reused'))],
    ['a retry is taken for a theft', history(issue, rotate('t0', 'rotated', 't1'), rotate('t0', 'reused'))],
    [
      'a family goes on after a theft',
      history(
        issue,
        rotate('t0', 'rotated', 't1'),
        rotate('t1', 'rotated', 't2'),
        rotate('t0', 'reused'),
        rotate('t2', 'rotated', 't3'),
      ),
    ],
    [
      'a family goes on after revokeAll',
      history(
        issue,
        { operation: 'tokens.revokeAll', key: 'families of user', result: 1 },
        rotate('t0', 'rotated', 't1'),
      ),
    ],
    ['a code is redeemed twice', history(code('c1'), redeem('c1', true), redeem('c1', true))],
    ['a code is redeemed that was replaced', history(code('c1'), code('c2'), redeem('c1', true))],
    ['a guess is free', history(code('c1'), redeem('x', ATTEMPTS - 1), redeem('y', ATTEMPTS - 1))],
    [
      'a code is redeemed after its last guess',
      history(code('c1'), redeem('x', 2), redeem('y', 1), redeem('z', 0), redeem('c1', true)),
    ],
    ['a right code is called wrong', history(code('c1'), redeem('c1', ATTEMPTS - 1))],
    [
      'a link is redeemed twice',
      history(
        { ...KEY, operation: 'codes.issueToken', given: 'l', value: 'a' },
        { ...KEY, operation: 'codes.redeemToken', secret: 'l', result: 'a' },
        { ...KEY, operation: 'codes.redeemToken', secret: 'l', result: 'a' },
      ),
    ],
    ['more attempts are allowed than the limit', history(...upTo(LIMIT + 1))],
    ['an attempt is not counted', history(hit(1), hit(1))],
    ['an attempt is refused below the limit', history(...upTo(LIMIT - 1), refused(LIMIT - 1))],
  ])('refuse a history in which %s', (_, wrong) => {
    expect(check(wrong).length).toBeGreaterThan(0);
  });

  it.each<[why: string, history: History]>([
    [
      'a session is created while revokeAll goes on',
      history({ ...create, at: [3, 4] }, { ...revokeAll, at: [2, 10] }, { ...get('s1', 'a'), at: [11, 12] }),
    ],
    ['revokeOthers ends another session', history(create, revokeOthers('another', 'ok'), get('s1', null))],
    [
      'a revokeOthers of unknown outcome ends another session later',
      history(create, revokeOthers('another', 'unknown'), get('s1', 'a'), get('s1', null)),
    ],
    [
      'a near copy is younger than the lease',
      history(create, revokeAll, { ...get('s1', 'a'), process: 'near', at: [50, 51] }),
    ],
    [
      'an old token leads to the new session during an overlap, and cannot be regenerated',
      history(
        create,
        overlap('s1', 's2', 'a'),
        { ...KEY, operation: 'sessions.update', secret: 's2', saw: 'a', value: 'b', result: 'b' },
        get('s1', 'b'),
        { ...overlap('s1', '', ''), given: undefined, result: null },
        overlap('s2', 's3', 'b'),
        get('s1', 'b'),
      ),
    ],
    [
      'the answer of a regenerate is lost',
      history(
        create,
        { ...KEY, ...UNKNOWN, operation: 'sessions.regenerate', secret: 's1', value: 'b' },
        get('s1', 'a'),
        get('s1', null),
      ),
    ],
    [
      'the answer of a regenerate with an overlap is lost, and the session lives on for a moment',
      history(
        create,
        { ...KEY, ...UNKNOWN, operation: 'sessions.regenerate', secret: 's1' },
        get('s1', 'a'),
        get('s1', null),
      ),
    ],
    [
      'a session is revoked under the new token of a regenerate, which nobody has yet',
      history(
        create,
        { ...KEY, operation: 'sessions.regenerate', secret: 's1', value: 'b', result: null, at: [2, 10] },
        { ...get('s1', null), at: [3, 4] },
        { ...revokeAll, at: [5, 6] },
        { ...get('s1', null), at: [11, 12] },
      ),
    ],
    [
      'the answer of a rotation is lost, and the token is sent again',
      history(issue, lost('t0'), rotate('t0', 'retried', 't1'), rotate('t1', 'rotated', 't2')),
    ],
    ['a rotation that was not answered did not happen', history(issue, lost('t0'), rotate('t0', 'rotated', 't1'))],
    [
      'an old token was sent again, and the answer is lost',
      history(
        issue,
        rotate('t0', 'rotated', 't1'),
        rotate('t1', 'rotated', 't2'),
        lost('t0'),
        rotate('t2', 'unknown'),
        rotate('t0', 'reused'),
      ),
    ],
    [
      'the answer of a right code is lost',
      history(code('c1'), { ...KEY, ...UNKNOWN, operation: 'codes.redeem', secret: 'c1' }, redeem('c1', null)),
    ],
    [
      'the answer of a guess is lost',
      history(
        code('c1'),
        { ...KEY, ...UNKNOWN, operation: 'codes.redeem', secret: 'x' },
        redeem('y', 2),
        redeem('z', 0),
        redeem('c1', null),
      ),
    ],
    [
      'the answer of an issue is lost',
      history(code('c1'), { ...KEY, ...UNKNOWN, operation: 'codes.issue' }, redeem('c1', ATTEMPTS - 1)),
    ],
    ['attempts are counted to the limit, and then refused', history(...upTo(LIMIT), refused(LIMIT), refused(LIMIT))],
    ['the answer of a hit is lost', history(hit(1), { ...KEY, ...UNKNOWN, operation: 'attempts.hit' }, hit(2), hit(4))],
  ])('explain a history in which %s', (_, right) => {
    expect(check(right).map((finding) => finding.explain())).toEqual([]);
  });
});
