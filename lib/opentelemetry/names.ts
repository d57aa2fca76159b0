/*
 * The names of what is emitted. Those that begin with `db`, `server` and `error` are OpenTelemetry's own (semantic conventions for
 * database clients 1.33); no attribute ever holds a key, a tag or a subject.
 */

export const SCOPE = 'nestjs-redis-cache-store';

/** Attributes of spans and metrics. */
export const ATTRIBUTES = {
  system: 'db.system.name',
  operation: 'db.operation.name',
  database: 'db.namespace',
  address: 'server.address',
  port: 'server.port',
  reply: 'db.response.status_code',
  error: 'error.type',
  /** Of spans only, and only if more than one key shared the command. */
  batchSize: 'db.operation.batch.size',
  /** Of spans only. */
  retries: 'redis_cache.retries',
  namespace: 'redis_cache.namespace',
  connection: 'redis_cache.connection',
  result: 'redis_cache.result',
  status: 'redis_cache.status',
  copies: 'redis_cache.near_cache.event',
  service: 'redis_cache.service',
  event: 'redis_cache.session.event',
} as const;

/** Instruments: name, unit, description. */
export const METRICS = {
  duration: ['db.client.operation.duration', 's', 'How long calls of a store took'],
  reads: ['redis_cache.reads', '{record}', 'Records that were asked for, found (hit) or not (miss)'],
  waiting: ['redis_cache.calls.waiting', '{call}', 'Calls of a store that have not settled yet'],
  retries: ['redis_cache.retries', '{retry}', 'Commands that were sent again'],
  ready: ['redis_cache.connection.ready', '1', '1 while Redis is ready, else 0'],
  changes: ['redis_cache.connection.changes', '{change}', 'Changes of the status of a connection'],
  copies: ['redis_cache.near_cache.events', '{copy}', 'Copies kept, evicted and invalidated'],
  entries: ['redis_cache.near_cache.entries', '{entry}', 'Copies of a store'],
  bytes: ['redis_cache.near_cache.bytes', 'By', 'Size of the copies that share the limit of a store'],
  feed: ['redis_cache.near_cache.feed', '1', '1 while all feeds of changes work, 0 while one does not'],
  sessions: [
    'redis_cache.session.events',
    '{event}',
    'Sessions and token families created, revoked, evicted, reused, …',
  ],
} as const satisfies Record<string, readonly [name: string, unit: string, description: string]>;

/** In seconds, as the conventions recommend. */
export const DURATION_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
