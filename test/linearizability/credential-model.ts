import { ABSENT, type RecordState } from './record-state.js';

/**
 * What one call of a service of /auth does to a credential, beside what calls of a store do to a record. A session, a family of
 * refresh tokens and a one-time code are records: their value begins with the one secret that is worth something now, and after
 * a space follows the data of a session, or how many guesses a code still allows.
 */
export type CredentialCall =
  /** The secret is worth nothing. */
  | { readonly operation: 'reject'; readonly secret: string }
  /** Whoever has the secret ends the credential with it. */
  | { readonly operation: 'end'; readonly secret: string }
  /** The secret is exchanged for that of `value`. */
  | { readonly operation: 'exchange'; readonly secret: string; readonly value: string }
  /** A refresh token was sent that is none of `fresh`, the tokens that need not be current for it to be no theft: the family ends. */
  | { readonly operation: 'reuse'; readonly fresh: readonly string[] }
  /** A code was guessed wrong, and `left` guesses are left; without an answer it may have been right. */
  | { readonly operation: 'guess'; readonly secret: string; readonly left?: number };

const OPERATIONS: Record<CredentialCall['operation'], true> = {
  reject: true,
  end: true,
  exchange: true,
  reuse: true,
  guess: true,
};

export function isOfCredential(call: { readonly operation: string }): call is CredentialCall {
  return call.operation in OPERATIONS;
}

/** The state after the call; `undefined`: in this state the call cannot have had its answer. */
export function stepCredential(state: RecordState, call: CredentialCall): RecordState | undefined {
  const [secret, rest] = state.value?.split(' ') ?? [];
  switch (call.operation) {
    case 'reject':
      return secret === call.secret ? undefined : state;
    case 'end':
      return secret === call.secret ? ABSENT : undefined;
    case 'exchange':
      return secret === call.secret ? { ...state, value: call.value } : undefined;
    case 'reuse':
      // A family that has ended is remembered for a while, to say so again.
      if (secret === undefined) return state;
      return call.fresh.includes(secret) ? undefined : ABSENT;
    default: {
      if (secret === undefined) return undefined;
      if (secret === call.secret) return call.left === undefined ? ABSENT : undefined;
      const left = Number(rest) - 1;
      if (left !== (call.left ?? left)) return undefined;
      return left === 0 ? ABSENT : { ...state, value: `${secret} ${left}` };
    }
  }
}

/** The state that an unexplained call leaves behind, if its answer is believed. */
export function believeCredential(call: CredentialCall): RecordState {
  return call.operation === 'exchange' ? { value: call.value, tags: new Map() } : ABSENT;
}
