import type { Interval } from './checker.js';
import { credential } from './credential-model.js';
import { effectsOf, hasHappened } from './effects.js';
import { type Fresh, OF_MANY } from './freshness.js';
import type { AuthOperation, Call } from './history.js';
import type { RecordCall } from './record-model.js';

/** The guesses that a code allows, and the hits of a window. */
export const ATTEMPTS = 3;
export const LIMIT = 5;

/** For each refresh token of each family, its successors. There should be one. */
export type Successors = ReadonlyMap<string, ReadonlySet<string>>;

export function isOfAuth(call: Call): call is Call & { readonly operation: AuthOperation } {
  return call.operation.includes('.');
}

export function successorsOf(calls: readonly Call[]): Successors {
  const successors = new Map<string, Set<string>>();
  for (const { operation, key, secret, given } of calls) {
    if (operation !== 'tokens.rotate' || given === undefined) continue;
    const name = `${key} ${secret}`;
    successors.set(name, (successors.get(name) ?? new Set()).add(given));
  }
  return successors;
}

/** Sessions of a subject are ended in these. */
export function revocationsOf(calls: readonly Call[]): readonly Call[] {
  return calls.filter(
    (call) => call.operation.startsWith('sessions.') && OF_MANY.has(call.operation) && hasHappened(call),
  );
}

/** What a call of a service did to the one credential, link or count that it is about. */
export function authIntervalsOf(
  call: Call & { readonly operation: AuthOperation },
  { from, signedOut }: Fresh,
  successors: Successors,
  revocations: readonly Call[],
): Interval<RecordCall>[] {
  if (!hasHappened(call)) return [];
  const { key, begin, result, value = '', tags = [], saw } = call;
  const { read, write, isKnown, end } = effectsOf(call);
  const secret = call.secret ?? '';
  // Of a call without an answer nobody knows what it gave: no other call has it.
  const given = call.given ?? `?${begin}`;
  switch (call.operation) {
    case 'sessions.create':
      return write({ operation: 'put', value: credential([given], value), tags, end });
    case 'sessions.get':
      if (result === null) return read({ operation: 'reject', secret }, from);
      return read({ operation: 'use', secret, data: String(result), signedOut }, from);
    case 'sessions.update':
      if (isKnown && result === null) return read({ operation: 'reject', secret }, from);
      // What was never given to `change` was never written.
      return saw === undefined ? [] : write({ operation: 'change', secret, saw, data: value });
    case 'sessions.regenerate':
      if (isKnown && result === null) {
        const isRevoked = revocations.some((each) => each.begin < end && effectsOf(each).end > begin);
        const ended: Interval<RecordCall> = { call: { operation: 'end', secret }, begin, end, effect: 'repeated' };
        // Or it had been given its new token, which is told to nobody, when a revocation reached it.
        return [...read({ operation: 'outdated', secret }, from), ...(isRevoked ? [ended] : [])];
      }
      if (call.value !== undefined) return write({ operation: 'exchange', secret, next: given, data: value });
      return [
        ...write({ operation: 'exchange', secret, next: given, overlap: true }),
        // Without its last step the new session lives for a moment only, and the old token leads to it.
        ...(isKnown ? [] : write({ operation: 'end', secret: given })),
      ];
    case 'sessions.revokeToken':
      return result === false
        ? read({ operation: 'reject', secret })
        : write({ operation: 'end', secret }, `end ${secret}`);
    case 'tokens.issue':
      return write({ operation: 'put', value: given, tags, end });
    case 'tokens.rotate':
      return rotation(call, [...(successors.get(`${key} ${secret}`) ?? [])]);
    case 'tokens.revoke':
      if (result === false) return read({ operation: 'get', result: null });
      return write({ operation: 'delete', ...(isKnown && { result: true }) }, 'delete');
    case 'codes.issue':
      return write({ operation: 'put', value: credential([given], ATTEMPTS), tags, end });
    case 'codes.redeem':
      if (result === true) return write({ operation: 'end', secret });
      if (isKnown && result === null) return read({ operation: 'get', result: null });
      return write({ operation: 'guess', secret, ...(isKnown && { left: Number(result) }) }, `guess ${secret}`);
    case 'codes.issueToken':
      return write({ operation: 'put', value, tags, end });
    case 'codes.redeemToken':
      if (isKnown && result === null) return read({ operation: 'get', result: null });
      return write({ operation: 'take', ...(isKnown && { result: String(result) }) }, 'delete');
    case 'attempts.hit':
      // Refused, though the window allows more: no count explains that.
      if (result === false)
        return read({ operation: 'get', result: saw === String(LIMIT) ? saw : `refused at ${saw}` });
      return write({ operation: 'increment', limit: LIMIT, ...(isKnown && { result: Number(result) }) }, 'hit');
    case 'attempts.peek':
      return read({ operation: 'get', result: result === 0 ? null : String(result) });
    case 'attempts.reset':
      if (result === false) return read({ operation: 'get', result: null });
      return write({ operation: 'delete', ...(isKnown && { result: true }) }, 'delete');
    default:
      throw new Error(`${call.operation} is about many records`);
  }
}

/** The runs are shorter than the window within which a token that was rotated gives its successor again. */
function rotation(call: Call, successors: readonly string[]): Interval<RecordCall>[] {
  const { secret = '', given = '', result, begin } = call;
  const { read, write, isKnown } = effectsOf(call);
  const reuse: RecordCall = { operation: 'reuse', fresh: [secret, ...successors, `?${secret}`] };
  if (!isKnown) {
    // If others were given a successor, it is the one that this call made; else nobody was.
    const made = successors.length > 0 ? successors : [`?${secret}`];
    const exchanges = made.map((next) => ({ operation: 'exchange', secret, next }) as const);
    return [...exchanges, reuse].flatMap((possible) => write(possible, JSON.stringify(possible)));
  }
  switch (result) {
    case 'rotated':
      return write({ operation: 'exchange', secret, next: given });
    case 'retried':
      return read({ operation: 'get', result: given });
    case 'reused':
      return write(reuse);
    case 'unknown':
      return read({ operation: 'get', result: null });
    default:
      throw new Error(`${String(result)} is no outcome of a rotation, begun at ${begin}`);
  }
}
