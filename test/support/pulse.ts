import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisServer } from './redis-server.js';

/** How often each server is asked, in ms. */
const BEAT = 10;
/** For how long an answer counts, in ms. */
const MEMORY = 1000;

/**
 * A control measurement: how long servers take to answer while nothing is wrong with them. On a busy machine an invalidation
 * takes as much longer.
 */
export class Pulse {
  private readonly asked = new Set<{ readonly begun: number }>();
  private answers: { readonly at: number; readonly took: number }[] = [];
  private readonly ended = new AbortController();
  private readonly beating: Promise<unknown>;

  constructor(servers: readonly RedisServer[]) {
    this.beating = Promise.all(servers.map((server) => this.beat(server)));
  }

  /** The longest that an answer of the last second took, or takes, in ms. */
  get lag(): number {
    const at = performance.now();
    this.answers = this.answers.filter((answer) => at - answer.at < MEMORY);
    return Math.max(0, ...this.answers.map(({ took }) => took), ...[...this.asked].map(({ begun }) => at - begun));
  }

  async stop(): Promise<void> {
    this.ended.abort();
    await this.beating;
  }

  private async beat(server: RedisServer): Promise<void> {
    for (; !this.ended.signal.aborted; await sleep(BEAT)) {
      const question = { begun: performance.now() };
      this.asked.add(question);
      const answered = await server.cli('PING').then(
        () => true,
        () => false,
      );
      this.asked.delete(question);
      const at = performance.now();
      if (answered) this.answers.push({ at, took: at - question.begun });
    }
  }
}
