import { isToken, sha256 } from './secrets.js';

/** So many tokens are remembered at most: some 200 kB. */
const MOST = 1024;

/**
 * The ids of the tokens that came last. A guard sees the same tokens again and again, and hashing one takes longer than all else that
 * `Sessions.get` adds to the `get` of the store: with this the read of a guard has 0.90 to 0.95 of the rate of a bare `get` at 64 callers,
 * without it 0.80 (bench/auth.mjs). A heap snapshot of the process shows these tokens, as it shows those of requests.
 */
export class TokenIds {
  private readonly known = new Map<string, string>();

  /** SHA-256 of a token's text, in base64url; `undefined`: the text is no token. */
  of(token: string): string | undefined {
    const known = this.known.get(token);
    if (known !== undefined) return known;
    if (!isToken(token)) return undefined;
    const id = sha256(token);
    if (this.known.size >= MOST) this.known.clear();
    this.known.set(token, id);
    return id;
  }
}
