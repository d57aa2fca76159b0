/** What a store is to hold, in the simplest words. All times in ms; `Infinity` is for ever. */
interface ModelRecord {
  value: unknown;
  tags: readonly string[];
  created: number;
  expires: number;
  /** What the writing call said, which a touch, or a sliding read, gives it again. */
  ttl: number;
  /** Moved away, and there for its grace only: nothing extends it. */
  ending?: boolean;
}

export interface ModelOptions {
  /** `null`: for ever. */
  ttl?: number | null;
  tags?: readonly string[];
}

/** A store that lives in one Map and knows no Redis, no index and no concurrency. */
export class StoreModel {
  private now = 0;
  private readonly records = new Map<string, ModelRecord>();

  constructor(private readonly settings: { ttl: number; sliding?: boolean; maxAge?: number }) {}

  pass(ms: number): void {
    this.now += ms;
    for (const [key, { expires }] of this.records) if (expires <= this.now) this.records.delete(key);
  }

  put(key: string, value: unknown, { ttl, tags = [] }: ModelOptions): void {
    const { now } = this;
    const own = this.given(ttl);
    const lifetime = Math.min(own, this.settings.maxAge ?? Infinity);
    this.records.set(key, { value, tags, created: now, expires: now + lifetime, ttl: own });
  }

  putIfAbsent(key: string, value: unknown, options: ModelOptions): boolean {
    if (this.records.has(key)) return false;
    this.put(key, value, options);
    return true;
  }

  get(key: string): unknown {
    const record = this.records.get(key);
    if (record && this.settings.sliding && !record.ending) {
      const full = this.young(record, record.ttl);
      if (full < Infinity && record.expires - this.now <= full * 0.9) record.expires = this.now + full;
    }
    return record?.value;
  }

  take(key: string): unknown {
    const value = this.records.get(key)?.value;
    this.records.delete(key);
    return value;
  }

  replace(key: string, value: unknown, { ttl, tags }: ModelOptions): boolean {
    const record = this.records.get(key);
    if (!record) return false;
    record.value = value;
    record.tags = tags ?? record.tags;
    if (ttl === undefined || record.ending) return true;
    record.ttl = this.given(ttl);
    record.expires = this.now + this.young(record, record.ttl);
    return true;
  }

  update(key: string, change: (value: unknown) => unknown, options: ModelOptions = {}): unknown {
    const value = this.records.get(key)?.value;
    return this.replace(key, change(value), options) ? change(value) : undefined;
  }

  /** `refused`: the new key is taken. */
  move(from: string, to: string, { ttl, tags, grace }: ModelOptions & { grace?: number }): unknown {
    const old = this.records.get(from);
    if (from === to) return 'refused';
    if (!old || old.ending) return undefined;
    if (this.records.has(to)) return 'refused';
    const moved = { ...old, tags: tags ?? old.tags };
    this.records.set(to, moved);
    if (ttl !== undefined) {
      moved.ttl = this.given(ttl);
      moved.expires = this.now + this.young(moved, moved.ttl);
    }
    if (grace === undefined) this.records.delete(from);
    else Object.assign(old, { ending: true, expires: Math.min(old.expires, this.now + grace) });
    return old.value;
  }

  deleteIf(key: string, test: (value: unknown) => boolean): boolean {
    return this.records.has(key) && test(this.records.get(key)?.value) && this.records.delete(key);
  }

  touch(key: string, ttl?: number): boolean {
    const record = this.records.get(key);
    if (record && !record.ending) record.expires = this.now + this.young(record, ttl ?? record.ttl);
    return record !== undefined;
  }

  delete(key: string): boolean {
    return this.records.delete(key);
  }

  deleteByTag(tag: string): number {
    const keys = this.keys(tag);
    for (const key of keys) this.records.delete(key);
    return keys.length;
  }

  clear(): number {
    const { size } = this.records;
    this.records.clear();
    return size;
  }

  keys(tag?: string): string[] {
    const found = [...this.records].filter(([, { tags }]) => tag === undefined || tags.includes(tag));
    return found.map(([key]) => key).toSorted();
  }

  ttl(key: string): number | undefined {
    const record = this.records.get(key);
    return record && record.expires - this.now;
  }

  private given(ttl: number | null | undefined): number {
    return ttl === null ? Infinity : (ttl ?? this.settings.ttl);
  }

  /** A ttl, as far as the record may live so long. */
  private young({ created }: ModelRecord, ttl: number): number {
    return Math.min(ttl, created + (this.settings.maxAge ?? Infinity) - this.now);
  }
}
