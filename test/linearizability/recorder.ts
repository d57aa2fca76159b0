import { CacheCommandError, CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { type Call, isDoomed, now, type Operation, type Outcome, type Reading } from './history.js';

/** What is known about a call before it is made. */
type Planned = Pick<Call, 'key' | 'keys' | 'to' | 'value' | 'tags'>;

/** What of a store the workers call, of which a broken store may replace some. */
export type RecordedStore = Pick<RedisCacheStore, Operation>;

/** Makes calls of a store and writes down all of them. Values are texts. */
export class Recorder {
  readonly calls: Call[] = [];

  constructor(
    private readonly process: string,
    private readonly store: RecordedStore,
  ) {}

  get(key: string): Promise<void> {
    return this.record('get', { key }, async () => reading(await this.store.get<string>(key)));
  }

  getMany(keys: readonly string[]): Promise<void> {
    return this.record('getMany', { key: '', keys }, async () => (await this.store.getMany<string>(keys)).map(reading));
  }

  put(key: string, value: string, tags: readonly string[]): Promise<void> {
    return this.record('put', { key, value, tags }, async () => this.store.put(key, value, { tags }));
  }

  putIfAbsent(key: string, value: string, tags: readonly string[]): Promise<void> {
    return this.record('putIfAbsent', { key, value, tags }, async () => this.store.putIfAbsent(key, value, { tags }));
  }

  replace(key: string, value: string, tags?: readonly string[]): Promise<void> {
    const options = tags && { tags };
    return this.record('replace', { key, value, ...options }, async () => this.store.replace(key, value, options));
  }

  update(key: string, values: () => string, tags?: readonly string[]): Promise<void> {
    const options = tags && { tags };
    const { last, change } = changing(values);
    const update = async () => reading(await this.store.update<string>(key, change, options));
    return this.record('update', { key, ...options }, update, last);
  }

  /** `done` is called when the record has its new key. */
  move(key: string, to: string, values: () => string, tags: readonly string[], done: () => void): Promise<void> {
    const { last, change } = changing(values);
    const move = async () => {
      const moved = await this.store.move<string>(key, to, { change, tags });
      if (moved !== undefined) done();
      return reading(moved);
    };
    return this.record('move', { key, to, tags }, move, last);
  }

  deleteIf(key: string): Promise<void> {
    const last: { saw?: string } = {};
    const test = (saw: string) => isDoomed((last.saw = saw));
    return this.record('deleteIf', { key }, async () => this.store.deleteIf<string>(key, test), last);
  }

  take(key: string): Promise<void> {
    return this.record('take', { key }, async () => reading(await this.store.take<string>(key)));
  }

  delete(key: string): Promise<void> {
    return this.record('delete', { key }, async () => this.store.delete(key));
  }

  deleteByTag(tag: string): Promise<void> {
    return this.record('deleteByTag', { key: tag }, async () => this.store.deleteByTag(tag));
  }

  increment(key: string): Promise<void> {
    return this.record('increment', { key }, async () => (await this.store.increment(key)).count);
  }

  counter(key: string): Promise<void> {
    return this.record('counter', { key }, async () => (await this.store.counter(key))?.count ?? null);
  }

  resetCounter(key: string): Promise<void> {
    return this.record('resetCounter', { key }, async () => this.store.resetCounter(key));
  }

  /** `late`: what becomes known during the call. */
  private async record(
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
function changing(values: () => string) {
  const last: { saw?: string; value?: string } = {};
  const change = (saw: string) => {
    Object.assign(last, { saw, value: values() });
    return last.value ?? '';
  };
  return { last, change };
}

function reading(value: string | undefined): Reading {
  return value ?? null;
}

function failed(error: unknown): { outcome: Outcome; error?: string } {
  if (error instanceof CacheUnavailableError) return { outcome: error.outcome };
  if (error instanceof CacheCommandError) return { outcome: 'refused', error: error.reply };
  const name = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { outcome: 'broken', error: name };
}
