import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a worker is asked to run. */
export interface TaskRequest {
  id: number;
  task: string;
  args: unknown[];
}

/** What it answers; once on its own, as task 0, when its script is loaded. */
export type TaskResult = { id: number } & (
  { value: unknown } | { error: Error; properties: Readonly<Record<string, unknown>> }
);

interface Waiter {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

const SUPPORT = fileURLToPath(new URL('.', import.meta.url));

/**
 * Another process of the application. It runs the exported functions of a script in test/support/workers/, which imports
 * the package by its name, and dies with the test process.
 *
 * @example
 * ```ts
 * const worker = await WorkerProcess.start<typeof import('./workers/auth.worker.js')>('auth.worker', { URL: server.url });
 * expect(await worker.run('takeMany', 'token', 50)).toBe(1);
 * await worker.kill();
 * ```
 */
export class WorkerProcess<Tasks extends object> {
  /** Resolves once the script is loaded. `env` comes on top of our own. */
  static async start<Tasks extends object>(script: string, env: NodeJS.ProcessEnv = {}): Promise<WorkerProcess<Tasks>> {
    const child = fork(join(SUPPORT, 'worker-host.ts'), [`./workers/${script}.js`], {
      execArgv: ['--import', join(SUPPORT, 'typescript-loader.mjs')],
      // Without the flags that Jest needs.
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      serialization: 'advanced',
    });
    const worker = new WorkerProcess<Tasks>(child);
    await worker.answer(0);
    return worker;
  }

  private readonly waiting = new Map<number, Waiter>();
  private readonly exited: Promise<unknown>;
  private lastId = 0;

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit').then(() => {
      for (const waiter of this.waiting.values()) waiter.reject(new Error('the worker process is gone'));
    });
    child.on('message', (result: TaskResult) => {
      const waiter = this.waiting.get(result.id);
      this.waiting.delete(result.id);
      if ('error' in result) waiter?.reject(Object.assign(result.error, result.properties));
      else waiter?.resolve(result.value);
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Calls a function over there. Arguments and result are cloned; an error keeps its properties, but not its class. */
  run<Name extends keyof Tasks & string>(
    task: Name,
    ...args: Tasks[Name] extends (...args: infer Args) => unknown ? Args : never
  ): Promise<Tasks[Name] extends (...args: never) => infer Result ? Awaited<Result> : never> {
    const request: TaskRequest = { id: ++this.lastId, task, args };
    const result = this.answer(request.id);
    this.child.send(request, (error) => error && this.waiting.get(request.id)?.reject(error));
    return result as ReturnType<typeof this.run<Name>>;
  }

  /** SIGKILL, in the middle of whatever it does. Repeating it is harmless. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }
}
