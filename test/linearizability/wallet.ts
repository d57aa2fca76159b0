import type { Held } from './auth-recorder.js';

/** Of each kind so many secrets are kept. */
const MOST = 24;

/** What all clients together hold, whichever process gave it to them: worn secrets too, for whoever stole one. */
export class Wallet {
  private readonly held = new Map<Held['kind'], Held[]>();
  private given: Held[] = [];

  /** A process of ours has given it. */
  readonly give = (held: Held): void => {
    this.given.push(held);
    this.learn(held);
  };

  /** Another process has given it. */
  learn(held: Held): void {
    const all = this.all(held.kind);
    all.push(held);
    if (all.length > MOST) all.shift();
    this.held.set(held.kind, all);
  }

  /** What was given here since it was asked for last. */
  news(): Held[] {
    const news = this.given;
    this.given = [];
    return news;
  }

  all(kind: Held['kind']): Held[] {
    return this.held.get(kind) ?? [];
  }

  /** One of them, more often a new one than an old one. */
  pick(kind: Held['kind']): Held | undefined {
    const all = this.all(kind);
    return all[all.length - 1 - Math.floor(Math.random() ** 2 * all.length)];
  }
}
