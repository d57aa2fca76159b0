import { setImmediate } from '../redis-cache.timers.js';

/**
 * ioredis connects in a tick (`process.nextTick`): under fake timers it never would.
 *
 * @throws Error that says so
 */
export function assertTicksRun(): Promise<void> {
  return new Promise((resolve, reject) => {
    let ran = false;
    process.nextTick(() => (ran = true));
    setImmediate(() => {
      if (ran) resolve();
      else reject(new Error(FAKED));
    });
  });
}

const FAKED =
  'process.nextTick is faked, so that Node cannot connect: begin fake timers after the application has started, ' +
  "and leave out what sockets need, as in jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })";
