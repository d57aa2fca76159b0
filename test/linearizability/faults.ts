import { setTimeout as sleep } from 'node:timers/promises';
import type { TcpProxy } from '../support/proxy.js';
import type { RedisServer } from '../support/redis-server.js';

/** Where faults strike: a server that keeps what it acknowledged, the network before it, and the clock of a host. */
export interface Scene {
  readonly server: RedisServer;
  readonly proxy: TcpProxy;
  /** Sets the wall clock of one process off by so many ms. */
  readonly shiftClock: (ms: number) => Promise<void>;
}

/** What the clock of that process is off by at first, in ms. */
export const SHIFTED = 600_000;

interface FaultKind {
  readonly name: string;
  /** Resolves when the fault is over. `lasting` is in ms. */
  inflict(scene: Scene, lasting: number): Promise<void>;
}

/** What can happen to one server without losing what it acknowledged. */
export const FAULTS: readonly FaultKind[] = [
  {
    name: 'kill -9, restart',
    async inflict({ server }, lasting) {
      await server.kill9();
      await sleep(lasting / 2);
      await server.restart();
    },
  },
  {
    name: 'freeze',
    async inflict({ server }, lasting) {
      server.freeze();
      await sleep(lasting);
      server.thaw();
    },
  },
  {
    name: 'CLIENT KILL',
    async inflict({ server }, lasting) {
      for (let left = lasting; left > 0; left -= 50) {
        for (const type of ['normal', 'pubsub']) await server.cli('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
        await sleep(50);
      }
    },
  },
  {
    name: 'CLIENT PAUSE',
    async inflict({ server }, lasting) {
      await server.cli('CLIENT', 'PAUSE', String(lasting), 'ALL');
      await sleep(lasting);
    },
  },
  {
    name: 'cut',
    async inflict({ proxy }, lasting) {
      await proxy.cut();
      await sleep(lasting);
      await proxy.resume();
    },
  },
  {
    name: 'stall',
    async inflict({ proxy }, lasting) {
      proxy.stall();
      await sleep(lasting);
      await proxy.resume();
    },
  },
  {
    name: 'stalled replies',
    async inflict({ proxy }, lasting) {
      proxy.stallReplies();
      await sleep(lasting);
      await proxy.resume();
    },
  },
  {
    name: 'lost replies',
    async inflict({ proxy }, lasting) {
      for (let left = lasting; left > 0; left -= 100) {
        await Promise.race([proxy.dropReplies(), sleep(100)]);
        await sleep(50);
      }
      await proxy.resume();
    },
  },
  {
    name: 'invalidations stalled',
    async inflict({ proxy }, lasting) {
      // Of each instance one connection or the other, by chance; of the other connections nothing is held back.
      const parity = Math.random() < 0.5 ? 0 : 1;
      proxy.stallReplies((nth) => nth % 2 === parity);
      await sleep(lasting);
      await proxy.resume();
    },
  },
  {
    name: 'clock jumps',
    async inflict({ shiftClock }, lasting) {
      await shiftClock(-SHIFTED);
      await sleep(lasting);
      await shiftClock(SHIFTED);
    },
  },
];
