import { CacheCommandError, CacheUnavailableError } from 'nestjs-redis-cache-store';
import { type Call, now, type Operation, type Outcome } from './history.js';

/** What is known about a call before it is made. */
type Planned = Pick<Call, 'key' | 'keys' | 'to' | 'value' | 'tags' | 'except' | 'secret'>;

/** All calls of one process, in the order of their ends. */
export class Journal {
  readonly calls: Call[] = [];

  constructor(private readonly process: string) {}

  /** Makes a call and writes it down. `late`: what becomes known during the call. */
  async record(
    operation: Operation,
    planned: Planned,
    call: () => Promise<Call['result'] | void>,
    late: Partial<Call> = {},
  ): Promise<void> {
    const begin = now();
    const ended = await call().then(
      (result) => ({ end: now(), outcome: 'ok' as const, ...(result === undefined ? {} : { result }) }),
      (error: unknown) => ({ end: now(), ...failed(error) }),
    );
    this.calls.push({ operation, process: this.process, ...planned, ...late, begin, ...ended });
  }
}

/** A callback, and what it was last given and gave. Every attempt writes a value of its own, so that the one that counts can be told. */
export function changing(values: () => string) {
  const last: { saw?: string; value?: string } = {};
  const change = (saw: string) => {
    Object.assign(last, { saw, value: values() });
    return last.value ?? '';
  };
  return { last, change };
}

function failed(error: unknown): { outcome: Outcome; error?: string } {
  if (error instanceof CacheUnavailableError) return { outcome: error.outcome };
  if (error instanceof CacheCommandError) return { outcome: 'refused', error: error.reply };
  const name = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { outcome: 'broken', error: name };
}
