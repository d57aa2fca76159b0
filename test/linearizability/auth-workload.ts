import type { AuthRecorder, Held } from './auth-recorder.js';
import type { Wallet } from './wallet.js';
import { callers, type Mix, pick } from './workload.js';

export interface AuthWorkloadOptions {
  /** Begins every text that this process writes. */
  name: string;
  subjects: readonly string[];
  callers: number;
  /** The longest pause of a caller between two calls, in ms. */
  pause: number;
}

/** How often each call is made, of all together. */
const MIX: Mix<AuthWorkload> = [
  [8, (work) => work.recorder.create(work.subject(), work.value())],
  [24, (work) => work.with('session', (held) => work.recorder.get(held))],
  [6, (work) => work.with('session', (held) => work.recorder.update(held, () => work.value()))],
  [3, (work) => work.with('session', (held) => work.recorder.regenerate(held, work.value(), false))],
  [3, (work) => work.with('session', (held) => work.recorder.regenerate(held, work.value(), true))],
  [3, (work) => work.with('session', (held) => work.recorder.overlap(held))],
  [3, (work) => work.with('session', (held) => work.recorder.revokeToken(held))],
  [1, (work) => work.with('session', (held) => work.recorder.revokeOthers(held))],
  [3, (work) => work.recorder.revokeSessions(work.subject())],
  [5, (work) => work.recorder.issueRefresh(work.subject(), work.value())],
  [18, (work) => work.with('refresh', (held) => work.recorder.rotate(held))],
  [1, (work) => work.with('refresh', (held) => work.recorder.revokeFamily(held))],
  [1, (work) => work.recorder.revokeFamilies(work.subject())],
  [4, (work) => work.recorder.issueCode(work.subject())],
  [8, (work) => work.with('code', (held) => work.recorder.redeem(held))],
  [3, (work) => work.with('code', (held) => work.recorder.redeem({ ...held, secret: 'mistyped' }))],
  [4, (work) => work.recorder.issueLink(work.subject(), work.value())],
  [6, (work) => work.with('link', (held) => work.recorder.redeemLink(held))],
  [8, (work) => work.recorder.hit(work.subject())],
  [2, (work) => work.recorder.peek(work.subject())],
  [1, (work) => work.recorder.reset(work.subject())],
];

/** Clients that call the services of /auth at random, until they are stopped. */
export class AuthWorkload {
  private written = 0;
  private readonly calling;

  constructor(
    readonly recorder: AuthRecorder,
    private readonly wallet: Wallet,
    private readonly options: AuthWorkloadOptions,
  ) {
    this.calling = callers(this, MIX, options);
  }

  /** Reads what can be read without a change once more. */
  async readAll(): Promise<void> {
    for (const held of this.wallet.all('session')) await this.recorder.get(held);
    for (const subject of this.options.subjects) await this.recorder.peek(subject);
  }

  stop(): Promise<void> {
    return this.calling.stop();
  }

  subject(): string {
    return pick(this.options.subjects);
  }

  /** A call with something that a client holds; nothing if nobody holds any. */
  async with(kind: Held['kind'], call: (held: Held) => Promise<void>): Promise<void> {
    const held = this.wallet.pick(kind);
    if (held) await call(held);
  }

  /** No text is written twice. */
  value(): string {
    return `${this.options.name}.auth${++this.written}`;
  }
}
