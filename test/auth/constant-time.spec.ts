import * as crypto from 'node:crypto';
import { jest } from '@jest/globals';
import ts from 'typescript';
import type { FamilyRecord } from '../../lib/auth/refresh-family.js';
import { nodesOf, readSources } from '../support/sources.js';

const compared = jest.fn(crypto.timingSafeEqual);
jest.unstable_mockModule('node:crypto', () => ({ ...crypto, timingSafeEqual: compared }));
const { equalInConstantTime, sha256 } = await import('../../lib/auth/secrets.js');
const { firstToken, newFamily, placeOf, rotated } = await import('../../lib/auth/refresh-family.js');

/** Names of secrets and of what is derived from them; of a call, the name of the function. */
const SECRET = /^(token|secret|code|typed|hash|sha256|hmac|hashOf|current|previous|successor)$/i;
const EQUALITY = [
  ts.SyntaxKind.EqualsEqualsToken,
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
];
const COMPARING = /^(equals|compare|localeCompare|startsWith|endsWith|includes|indexOf|timingSafeEqual|is)$/;

/** The name that an expression ends with. */
function nameOf(node: ts.Expression): string {
  if (ts.isCallExpression(node)) return nameOf(node.expression);
  if (ts.isPropertyAccessExpression(node)) return node.name.text;
  return ts.isIdentifier(node) ? node.text : '';
}

/** Whether it is known while it is compiled; nothing is learnt from a comparison with it. */
const isConstant = (node: ts.Expression) => ts.isLiteralExpression(node) || nameOf(node) === 'undefined';

/** Whether a node compares a secret byte by byte until one differs. */
function isHasty(node: ts.Node): boolean {
  if (ts.isBinaryExpression(node) && EQUALITY.includes(node.operatorToken.kind)) {
    const sides = [node.left, node.right];
    return !sides.some(isConstant) && sides.some((side) => SECRET.test(nameOf(side)));
  }
  if (!ts.isCallExpression(node) || !COMPARING.test(nameOf(node))) return false;
  const { expression } = node;
  const receiver = ts.isPropertyAccessExpression(expression) ? [expression.expression] : [];
  return [...receiver, ...node.arguments].some((each) => SECRET.test(nameOf(each)));
}

const hastyIn = (tree: ts.SourceFile) =>
  Array.from(nodesOf(tree))
    .filter(isHasty)
    .map((node) => node.getText());

describe('comparisons of secrets take constant time:', () => {
  beforeEach(() => compared.mockClear());

  it('no file of /auth compares a secret, or the hash of one, in another way', () => {
    const files = readSources().filter(({ path }) => path.startsWith('lib/auth/'));
    expect(files.flatMap(({ path, tree }) => hastyIn(tree).map((text) => `${path}: ${text}`))).toEqual([]);
  });

  it('another way would be found', () => {
    const hasty = [
      'hash === record.hash',
      'family.current !== other',
      'sha256(text) == known',
      'Buffer.from(one).equals(secret)',
      'Buffer.compare(one, hash)',
      'token.startsWith(text)',
    ];
    const sound = ['place === "current"', 'token === undefined', 'equalInConstantTime(hash, current)'];
    const tree = ts.createSourceFile('a.ts', [...hasty, ...sound].join(';\n'), ts.ScriptTarget.Latest, true);
    expect(hastyIn(tree)).toEqual(hasty);
  });

  it.each([
    ['equal', 'abcd', 'abcd', true],
    ['different at the first byte', 'abcd', 'xbcd', false],
    ['different at the last byte', 'abcd', 'abcx', false],
  ])('texts of one length that are %s are compared by `timingSafeEqual`', (_, one, other, expected) => {
    expect(equalInConstantTime(one, other)).toBe(expected);
    expect(compared.mock.calls).toEqual([[Buffer.from(one), Buffer.from(other)]]);
  });

  it('texts of different lengths are different, with no byte of them compared', () => {
    expect([equalInConstantTime('abcd', 'abc'), equalInConstantTime('', 'a')]).toEqual([false, false]);
    expect(compared).not.toHaveBeenCalled();
  });

  it('whichever token of a family is sent, it is compared with both of its hashes', () => {
    const [first, made] = [firstToken(newFamily()), firstToken(newFamily())];
    const next = { ...made, family: first.family, sequence: 1 };
    const record: FamilyRecord = {
      subject: 'a',
      data: 1,
      createdAt: 0,
      rotatedAt: 0,
      left: 1,
      ...rotated(first, next),
    };
    const sent = [next, first, { ...next, secret: sha256('made up') }, { ...first, sequence: 7 }];
    for (const [i, place] of ['current', 'previous', 'other', 'other'].entries()) {
      compared.mockClear();
      expect(placeOf(sent[i] ?? made, record)).toBe(place);
      expect(compared).toHaveBeenCalledTimes(2);
    }
  });
});
