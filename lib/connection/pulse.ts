import { performance } from 'node:perf_hooks';
import type { Redis } from 'ioredis';
import { PendingCommand } from './redis-command.js';
import { reset } from './socket-reset.js';

/** What a node's socket had received when we last looked, and since when it is silent. */
interface Beat {
  bytesRead: number;
  silentSince: number;
  pinged?: PendingCommand | undefined;
}

/**
 * Finds a dead node by its silence. If no bytes have arrived since the last look it is sent a PING, and if that brings
 * none either its socket is reset. This finds frozen servers and half-open connections, also when nobody calls.
 */
export class Pulse {
  // Private names: `inspect` must not come to ioredis' options, which hold the password.
  readonly #beats = new WeakMap<Redis, Beat>();

  constructor(private readonly onDead: (reason: Error) => void) {}

  /** Pings a node that has been silent since the last look; resets one that left a PING unanswered for longer than `limit`. */
  check(node: Redis, limit: number): void {
    if (node.status !== 'ready') return;
    const { bytesRead } = node.stream;
    const now = performance.now();
    const beat = this.#beats.get(node);
    if (!beat || beat.bytesRead !== bytesRead) {
      this.#beats.set(node, { bytesRead, silentSince: now, pinged: beat?.pinged });
    } else if (!beat.pinged || beat.pinged.isSettled) {
      beat.silentSince = now;
      beat.pinged = new PendingCommand(['ping']);
      beat.pinged.promise.catch(() => undefined); // any reply is a sign of life
      node.sendCommand(beat.pinged);
    } else if (now - beat.silentSince >= limit) {
      // After a stall of our own event loop the reply may be waiting to be read: look again when it has been.
      setImmediate(() => {
        if (node.status !== 'ready' || node.stream.bytesRead !== bytesRead) return;
        this.onDead(new Error(`Redis sent nothing for ${Math.round(performance.now() - beat.silentSince)} ms`));
        reset(node.stream);
      });
    }
  }
}
