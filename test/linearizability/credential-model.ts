import { ABSENT, isSignedOut, type RecordState, type SignedOut } from './record-state.js';

/**
 * What one call of a service of /auth does to a credential, beside what calls of a store do to a record. A session, a family of
 * refresh tokens and a one-time code are records. Their value begins with the secrets that are worth something now, between commas,
 * the current one last (a session has others during an overlap); after a space follows the data of a session, or how many guesses
 * a code still allows.
 */
export type CredentialCall =
  /** The secret leads to these data. */
  | { readonly operation: 'use'; readonly secret: string; readonly data: string; readonly signedOut?: SignedOut }
  /** The secret leads to nothing. */
  | { readonly operation: 'reject'; readonly secret: string }
  /** The secret is not the current one. */
  | { readonly operation: 'outdated'; readonly secret: string }
  /** Whoever has the secret gives the credential other data. */
  | { readonly operation: 'change'; readonly secret: string; readonly saw: string; readonly data: string }
  /** Whoever has the secret ends the credential with it. */
  | { readonly operation: 'end'; readonly secret: string }
  /** The current secret is exchanged for another one, beside which it stays during an overlap. */
  | {
      readonly operation: 'exchange';
      readonly secret: string;
      readonly next: string;
      readonly data?: string;
      readonly overlap?: boolean;
    }
  /** A refresh token was sent that is none of `fresh`, the tokens that need not be current for it to be no theft: the family ends. */
  | { readonly operation: 'reuse'; readonly fresh: readonly string[] }
  /** A code was guessed wrong, and `left` guesses are left; without an answer it may have been right. */
  | { readonly operation: 'guess'; readonly secret: string; readonly left?: number };

const OPERATIONS: Record<CredentialCall['operation'], true> = {
  use: true,
  reject: true,
  outdated: true,
  change: true,
  end: true,
  exchange: true,
  reuse: true,
  guess: true,
};

export function isOfCredential(call: { readonly operation: string }): call is CredentialCall {
  return call.operation in OPERATIONS;
}

export function credential(secrets: readonly string[], data?: string | number): string {
  return data === undefined ? secrets.join() : `${secrets.join()} ${data}`;
}

/** The state after the call; `undefined`: in this state the call cannot have had its answer. */
export function stepCredential(state: RecordState, call: CredentialCall): RecordState | undefined {
  const [list = '', data] = state.value?.split(' ') ?? [];
  const secrets = list === '' ? [] : list.split(',');
  const becomes = (isPossible: boolean, value?: string) =>
    isPossible ? (value === undefined ? ABSENT : { ...state, value }) : undefined;
  switch (call.operation) {
    case 'use':
      if (isSignedOut(state, call.signedOut)) return undefined;
      return secrets.includes(call.secret) && data === call.data ? state : undefined;
    case 'reject':
      return secrets.includes(call.secret) ? undefined : state;
    case 'outdated':
      return secrets.at(-1) === call.secret ? undefined : state;
    case 'change':
      return becomes(secrets.includes(call.secret) && data === call.saw, credential(secrets, call.data));
    case 'end':
      return becomes(secrets.includes(call.secret));
    case 'exchange': {
      const left = call.overlap ? secrets : [];
      return becomes(secrets.at(-1) === call.secret, credential([...left, call.next], call.data ?? data));
    }
    case 'reuse':
      // A family that has ended is remembered for a while, to say so again.
      return secrets.length === 0 ? state : becomes(!call.fresh.includes(list));
    default: {
      if (secrets.includes(call.secret)) return becomes(call.left === undefined);
      const left = Number(data) - 1;
      const isPossible = secrets.length > 0 && left === (call.left ?? left);
      return becomes(isPossible, left === 0 ? undefined : credential(secrets, left));
    }
  }
}

/** The state that an unexplained call leaves behind, if its answer is believed. */
export function believeCredential(call: CredentialCall): RecordState {
  switch (call.operation) {
    case 'use':
    case 'change':
      return { value: credential([call.secret], call.data), tags: new Map() };
    case 'exchange':
      return { value: credential([call.next], call.data), tags: new Map() };
    default:
      return ABSENT;
  }
}
