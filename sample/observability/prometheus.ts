import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { CacheCallMessage, CacheConnectionMessage, CacheNearMessage } from 'nestjs-redis-cache-store';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Metrics of all stores and connections of this process. @returns stops it */
export function collectStoreMetrics(registry: Registry): () => void {
  const registers = [registry];
  const duration = new Histogram({
    name: 'redis_cache_call_duration_seconds',
    help: 'How long calls of a store took.',
    labelNames: ['namespace', 'operation', 'error'] as const,
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
    registers,
  });
  const reads = new Counter({
    name: 'redis_cache_reads_total',
    help: 'Records that were asked for, found (hit) or not (miss).',
    labelNames: ['namespace', 'result'] as const,
    registers,
  });
  const ready = new Gauge({
    name: 'redis_cache_connection_ready',
    help: '1 while Redis is ready, else 0.',
    labelNames: ['connection'] as const,
    registers,
  });

  const feed = new Gauge({
    name: 'redis_cache_near_feed_up',
    help: '0 while the near cache is bypassed, since Redis does not tell of changes.',
    labelNames: ['connection'] as const,
    registers,
  });

  const begun = new WeakMap<CacheCallMessage, ReturnType<typeof duration.startTimer>>();
  const listeners: [channel: string, listener: (message: unknown) => void][] = [
    [
      'tracing:nestjs-redis-cache-store:call:start',
      (message) => begun.set(message as CacheCallMessage, duration.startTimer()),
    ],
    [
      'tracing:nestjs-redis-cache-store:call:asyncEnd',
      (message) => {
        const call = message as CacheCallMessage;
        const { namespace, operation, hits, misses, failure } = call;
        const end = begun.get(call);
        end?.({ namespace, operation, error: failure?.code ?? '' });
        reads.inc({ namespace, result: 'hit' }, hits);
        reads.inc({ namespace, result: 'miss' }, misses);
      },
    ],
    [
      'nestjs-redis-cache-store:connection',
      (message) => {
        const { connection, status } = message as CacheConnectionMessage;
        ready.set({ connection }, status === 'ready' ? 1 : 0);
      },
    ],
    [
      'nestjs-redis-cache-store:near-cache',
      (message) => {
        const { connection, event } = message as CacheNearMessage;
        if (event === 'feed-up' || event === 'feed-down') feed.set({ connection }, event === 'feed-up' ? 1 : 0);
      },
    ],
  ];
  for (const [channel, listener] of listeners) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of listeners) unsubscribe(channel, listener);
  };
}
