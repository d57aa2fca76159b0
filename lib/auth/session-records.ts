import { afterAPart, CacheCorruptError, RedisCacheError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertText } from './arguments.js';
import { decide } from './decide.js';
import type { Lifetime } from './lifetime.js';
import { isToken, sha256 } from './secrets.js';
import { isSessionRecord } from './session.js';
import type { SessionRecord } from './session.js';

/** So many times a session may be regenerated within the overlaps of its tokens. */
const MOST_MOVES = 100;
const DAY = 24 * 60 * 60 * 1000;

/** A session and its id. */
export interface FoundSession {
  readonly id: string;
  readonly record: SessionRecord;
}

/** How the records of sessions are found, listed and kept alive. A session that is over is absent, whatever Redis says. */
export class SessionRecords {
  /** Sessions that a call of this process is just keeping alive. */
  private readonly sliding = new Set<string>();

  constructor(
    private readonly store: RedisCacheStore,
    private readonly lifetime: Lifetime,
  ) {}

  /** The session that a token leads to: during an overlap that is the new one. */
  async find(token: string): Promise<FoundSession | undefined> {
    if (!isToken(token)) return undefined;
    let id = sha256(token);
    let record = await this.at(id);
    for (let moves = 1; record?.movedTo !== undefined; moves++) {
      assertLeads(moves);
      id = record.movedTo;
      record = await this.at(id);
    }
    return record && { id, record };
  }

  /** What lies under an id. @throws CacheCorruptError */
  async at(id: string): Promise<SessionRecord | undefined> {
    return this.open(await this.store.get(id));
  }

  /** What was read under an id. @throws CacheCorruptError */
  open(record: unknown): SessionRecord | undefined {
    if (record === undefined) return undefined;
    if (!isSessionRecord(record)) throw new CacheCorruptError('the record is no session');
    return this.isOver(record) ? undefined : record;
  }

  /** Whether a tenth of `idle` (or of `absolute`, or of a day) has passed since Redis was told of a use. */
  isDue({ lastSeenAt }: SessionRecord): boolean {
    const { idle, absolute } = this.lifetime;
    return this.lifetime.now() - lastSeenAt >= (idle ?? absolute ?? DAY) / 10;
  }

  /** Tells Redis of the use of a session; if that fails, the session is as good as it was. */
  async keepAlive({ id, record }: FoundSession): Promise<SessionRecord> {
    const now = this.lifetime.now();
    if (this.sliding.has(id)) return record;
    this.sliding.add(id);
    try {
      const ttl = this.lifetime.lifeOf(record.createdAt);
      const used = (current: SessionRecord) => ({ ...current, lastSeenAt: Math.max(now, current.lastSeenAt) });
      return (await this.store.update<SessionRecord>(id, used, { ttl })) ?? record;
    } catch (error) {
      if (error instanceof RedisCacheError) return record;
      throw error;
    } finally {
      this.sliding.delete(id);
    }
  }

  /** The sessions of a subject, newest first; each once, also while it is being regenerated. @throws CacheCorruptError unless corrupt ones are skipped */
  async liveOf(subject: string, onCorrupt: 'throw' | 'skip'): Promise<FoundSession[]> {
    assertText('subject', subject);
    const live = new Map<string, FoundSession>();
    for await (const [id, record] of this.store.entries({ tag: subject, onCorrupt })) {
      if (!isSessionRecord(record)) {
        if (onCorrupt === 'skip') continue;
        throw new CacheCorruptError('a record with this tag is no session');
      }
      if (record.movedTo !== undefined || this.isOver(record)) continue;
      const other = live.get(record.origin)?.record;
      if (!other || other.lastSeenAt <= record.lastSeenAt) live.set(record.origin, { id, record });
    }
    const byAge = (a: FoundSession, b: FoundSession) =>
      b.record.createdAt - a.record.createdAt || (a.id < b.id ? 1 : -1);
    return [...live.values()].toSorted(byAge);
  }

  /** Changes the session that a token leads to, which also keeps it alive. */
  async change(
    token: string,
    change: (record: SessionRecord) => SessionRecord | Promise<SessionRecord>,
  ): Promise<FoundSession | undefined> {
    for (;;) {
      const found = await this.find(token);
      if (!found) return undefined;
      const { id } = found;
      const decision = async (current: SessionRecord) => {
        // Regenerated since it was found: the new record is the one to be changed.
        if (current.movedTo !== undefined) return { answer: 'moved' as const };
        const write = { ...(await change(current)), lastSeenAt: this.lifetime.now() };
        return { answer: write, write };
      };
      const ttl = this.lifetime.lifeOf(found.record.createdAt);
      const record = await decide<SessionRecord, SessionRecord | 'moved'>(this.store, id, decision, { ttl });
      if (record !== 'moved') return record && { id, record };
    }
  }

  /**
   * Ends what lies under an id, if it is a session of `subject` (absent: of anybody), or the one that it has become.
   *
   * @throws CacheCorruptError if it is no session; it stays
   */
  async end(id: string, subject?: string, moves = 0): Promise<FoundSession | undefined> {
    assertLeads(moves);
    let seen: SessionRecord | undefined;
    const isEnded = await this.store.deleteIf(id, (record) => {
      if (!isSessionRecord(record)) throw new CacheCorruptError('the record is no session');
      seen = record;
      return record.movedTo === undefined && (subject === undefined || record.subject === subject);
    });
    if (seen?.movedTo !== undefined) return this.end(seen.movedTo, subject, moves + 1);
    return isEnded && seen && !this.isOver(seen) ? { id, record: seen } : undefined;
  }

  /**
   * Ends all sessions of the subject of a token but that one, each by `end`, which tells whether it did; how many.
   *
   * @throws CacheCorruptError once all others are gone, if there was one that could not be read
   */
  async endOthers(token: string, end: (id: string, subject: string) => Promise<boolean>): Promise<number> {
    let count = 0;
    let hasBegun = false;
    try {
      // A pass may miss a session that is just being regenerated, and the next one finds it.
      for (let quietPasses = 0; quietPasses < 2;) {
        const own = await this.find(token);
        if (!own || own.record.subject === null) break;
        const { subject, origin } = own.record;
        const live = await this.liveOf(subject, quietPasses === 0 ? 'skip' : 'throw');
        const others = live.filter(({ record }) => record.origin !== origin);
        hasBegun ||= others.length > 0;
        const ended = await Promise.all(others.map(({ id }) => end(id, subject)));
        count += ended.filter(Boolean).length;
        quietPasses = others.length === 0 ? quietPasses + 1 : 0;
      }
      return count;
    } catch (error) {
      throw hasBegun ? afterAPart(error) : error;
    }
  }

  isOver({ createdAt, lastSeenAt }: SessionRecord): boolean {
    const end = this.lifetime.endOf(createdAt, lastSeenAt);
    return end !== null && end <= this.lifetime.now();
  }
}

/** What a token leads to, after so many moves, may still be a session. @throws CacheCorruptError for records that lead round in a circle */
export function assertLeads(moves: number): void {
  if (moves > MOST_MOVES)
    throw new CacheCorruptError('the record leads to too many others, and perhaps back to itself');
}

/** Whether what was read is a session of a subject that goes on under this id. */
export function isLiveOf(record: unknown, subject: string): boolean {
  return isSessionRecord(record) && record.subject === subject && record.movedTo === undefined;
}
