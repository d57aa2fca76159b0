import { createHook, executionAsyncId } from 'node:async_hooks';
import { Socket } from 'node:net';

/** A call of a function of lib/, as it stands in a stack. */
export interface Step {
  readonly file: string;
  readonly line: string;
}

type Write = (this: Socket, ...args: unknown[]) => boolean;

/** More than this a reader cannot follow. */
const [MOST_FILES, MOST_CALLS] = [7, 10];

/** @param way - of a `get`, to the command that fetches it */
export function expectShort(way: readonly Step[]): void {
  const lines = way.map(({ line }) => line);
  expect(lines.at(-1)).toContain('told-calls'); // around all methods of a store
  expect(lines.at(-2)).toContain('redis-cache.store');
  expect(lines[0]).toContain('node-link');
  expect(lines.slice(MOST_CALLS)).toEqual([]);
  expect([...new Set(way.map(({ file }) => file))].slice(MOST_FILES)).toEqual([]);
}

/**
 * The calls of functions of lib/ by which `action` comes to write a text to a socket, the last one first. Where one of them leaves the
 * rest to a later turn of the event loop (`setImmediate`, `nextTick`), the stack goes on with the one that did so.
 */
export async function wayToSocket(text: string, action: () => Promise<unknown>): Promise<readonly Step[]> {
  const origins = new Map<number, { readonly stack: readonly Step[]; readonly from: number }>();
  const hook = createHook({
    init(id, type) {
      if (/^(Immediate|TickObject)$/.test(type)) origins.set(id, { stack: stepsHere(), from: executionAsyncId() });
    },
  });
  let way: readonly Step[] | undefined;
  const write = Reflect.get(Socket.prototype, 'write') as Write;
  Socket.prototype.write = function (this: Socket, ...args: unknown[]): boolean {
    if (way === undefined && String(args[0]).includes(text)) {
      const steps = [...stepsHere()];
      let origin = origins.get(executionAsyncId());
      for (; origin; origin = origins.get(origin.from)) steps.push(...origin.stack);
      way = steps;
    }
    return write.apply(this, args);
  };
  hook.enable();
  try {
    await action();
  } finally {
    hook.disable();
    Reflect.deleteProperty(Socket.prototype, 'write'); // it is inherited
  }
  return way ?? [];
}

function stepsHere(): readonly Step[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 100;
  const { stack = '' } = new Error('here');
  Error.stackTraceLimit = stackTraceLimit;
  return stack.split('\n').flatMap((line) => {
    const [, file] = /[(/ ](lib\/[\w./-]+\.ts):\d+/.exec(line) ?? [];
    return file === undefined || line.includes('node_modules') ? [] : [{ file, line: line.trim() }];
  });
}
