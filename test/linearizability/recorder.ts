import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { isDoomed, type Reading, type StoreOperation } from './history.js';
import { changing, type Journal } from './journal.js';

/** What of a store the workers call, of which a broken store may replace some. */
export type RecordedStore = Pick<RedisCacheStore, StoreOperation>;

/** Makes calls of a store and writes down all of them. Values are texts. */
export class Recorder {
  constructor(
    private readonly journal: Journal,
    private readonly store: RecordedStore,
  ) {}

  get(key: string): Promise<void> {
    return this.journal.record('get', { key }, async () => reading(await this.store.get<string>(key)));
  }

  getMany(keys: readonly string[]): Promise<void> {
    return this.journal.record('getMany', { key: '', keys }, async () =>
      (await this.store.getMany<string>(keys)).map(reading),
    );
  }

  put(key: string, value: string, tags: readonly string[]): Promise<void> {
    return this.journal.record('put', { key, value, tags }, async () => this.store.put(key, value, { tags }));
  }

  putIfAbsent(key: string, value: string, tags: readonly string[]): Promise<void> {
    return this.journal.record('putIfAbsent', { key, value, tags }, async () =>
      this.store.putIfAbsent(key, value, { tags }),
    );
  }

  replace(key: string, value: string, tags?: readonly string[]): Promise<void> {
    const options = tags && { tags };
    return this.journal.record('replace', { key, value, ...options }, async () =>
      this.store.replace(key, value, options),
    );
  }

  update(key: string, values: () => string, tags?: readonly string[]): Promise<void> {
    const options = tags && { tags };
    const { last, change } = changing(values);
    const update = async () => reading(await this.store.update<string>(key, change, options));
    return this.journal.record('update', { key, ...options }, update, last);
  }

  /** `done` is called when the record has its new key. */
  move(key: string, to: string, values: () => string, tags: readonly string[], done: () => void): Promise<void> {
    const { last, change } = changing(values);
    const move = async () => {
      const moved = await this.store.move<string>(key, to, { change, tags });
      if (moved !== undefined) done();
      return reading(moved);
    };
    return this.journal.record('move', { key, to, tags }, move, last);
  }

  deleteIf(key: string): Promise<void> {
    const last: { saw?: string } = {};
    const test = (saw: string) => isDoomed((last.saw = saw));
    return this.journal.record('deleteIf', { key }, async () => this.store.deleteIf<string>(key, test), last);
  }

  take(key: string): Promise<void> {
    return this.journal.record('take', { key }, async () => reading(await this.store.take<string>(key)));
  }

  delete(key: string): Promise<void> {
    return this.journal.record('delete', { key }, async () => this.store.delete(key));
  }

  deleteByTag(tag: string): Promise<void> {
    return this.journal.record('deleteByTag', { key: tag }, async () => this.store.deleteByTag(tag));
  }

  increment(key: string): Promise<void> {
    return this.journal.record('increment', { key }, async () => (await this.store.increment(key)).count);
  }

  counter(key: string): Promise<void> {
    return this.journal.record('counter', { key }, async () => (await this.store.counter(key))?.count ?? null);
  }

  resetCounter(key: string): Promise<void> {
    return this.journal.record('resetCounter', { key }, async () => this.store.resetCounter(key));
  }
}

function reading(value: string | undefined): Reading {
  return value ?? null;
}
