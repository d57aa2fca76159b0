import { RedisCaller } from '../../lib/backend/redis-caller.js';
import type { RedisServer } from './redis-server.js';

type Method = (this: RedisCaller, ...args: unknown[]) => Promise<unknown>;

/**
 * What each script that the backend runs during an action costs Redis, in ms of its main thread's CPU time, as Redis itself tells it:
 * unlike the times of SLOWLOG, this does not count how long the machine kept Redis from its work. One script runs at a time; the
 * question for the time is counted, too.
 */
export async function scriptTimesDuring(server: RedisServer, action: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let turn: Promise<unknown> = Promise.resolve();
  const measured = (method: Method): Method =>
    function (...args) {
      const call = async () => {
        const before = await cpuTime(server);
        const reply = await method.apply(this, args);
        times.push((await cpuTime(server)) - before);
        return reply;
      };
      const result = turn.then(call);
      turn = result.catch(() => undefined);
      return result;
    };
  const methods = ['run', 'ask'].map((name) => [name, Reflect.get(RedisCaller.prototype, name) as Method] as const);
  for (const [name, method] of methods) Reflect.set(RedisCaller.prototype, name, measured(method));
  try {
    await action();
    return times;
  } finally {
    for (const [name, method] of methods) Reflect.set(RedisCaller.prototype, name, method);
  }
}

/** In ms. Systems other than Linux and FreeBSD tell it for all threads together. */
async function cpuTime(server: RedisServer): Promise<number> {
  const info = String(await server.cli('INFO', 'cpu'));
  const of = (kind: string, thread: string) => new RegExp(`used_cpu_${kind}${thread}:([\\d.]+)`).exec(info)?.[1];
  const seconds = (kind: string) => Number(of(kind, '_main_thread') ?? of(kind, ''));
  return (seconds('user') + seconds('sys')) * 1000;
}
