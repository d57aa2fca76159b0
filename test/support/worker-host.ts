// The other side of WorkerProcess: runs the exported functions of one script as its parent asks for them.
import 'reflect-metadata';
import type { TaskRequest, TaskResult } from './worker-process.js';

const script = process.argv[2] ?? '';

process.once('disconnect', () => process.exit()); // however the parent died
const tasks = (await import(script)) as Record<string, (...args: unknown[]) => unknown>;
process.on('message', (request: TaskRequest) => void run(request));
send({ id: 0, value: undefined });

async function run({ id, task, args }: TaskRequest): Promise<void> {
  try {
    send({ id, value: await tasks[task]?.(...args) });
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    // Of an error the channel passes on message and stack, and no name that its prototype has; the properties are what callers
    // decide by.
    send({ id, error, properties: { name: error.name, ...Object.fromEntries(Object.entries(error)) } });
  }
}

function send(result: TaskResult): void {
  if (process.connected) process.send?.(result);
}
