import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ChannelListener } from 'node:diagnostics_channel';
import type { Attributes, Counter, Gauge, Histogram, Span, UpDownCounter } from '@opentelemetry/api';
import type { InstrumentationConfig } from '@opentelemetry/instrumentation';
import { assertInstalled } from '../missing-peer.js';
import { now } from '../redis-cache.timers.js';
import { CALLS, CONNECTIONS, NEAR_CACHES, SESSIONS } from '../redis-cache.diagnostics.js';
import type {
  CacheCallMessage,
  CacheConnectionMessage,
  CacheConnectionSource,
  CacheNearMessage,
  CacheSessionMessage,
} from '../redis-cache.diagnostics.js';
import { ATTRIBUTES, DURATION_BUCKETS, METRICS, SCOPE } from './names.js';
import { InstrumentationBase, isInstalled, SpanKind, SpanStatusCode } from './peers.cjs';

assertInstalled(isInstalled, 'opentelemetry', '@opentelemetry/api', '@opentelemetry/instrumentation');

interface Instruments {
  readonly duration: Histogram;
  readonly reads: Counter;
  readonly waiting: UpDownCounter;
  readonly retries: Counter;
  readonly ready: Gauge;
  readonly changes: Counter;
  readonly copies: Counter;
  readonly entries: Gauge;
  readonly bytes: Gauge;
  readonly feed: Gauge;
  readonly sessions: Counter;
}

/** A call that has not settled: its span, and when it began, by the monotonic clock. */
interface Running {
  readonly span: Span;
  readonly since: number;
}

/**
 * Spans and metrics of stores, connections and the services of `/auth`, by OpenTelemetry's semantic conventions for database clients.
 * Each call of a store is a span of its own, below the active one; a span never has a query text. Needs `@opentelemetry/api` and
 * `@opentelemetry/instrumentation`. Make it before the application, whose first connection it otherwise misses.
 *
 * @example
 * ```ts
 * registerInstrumentations({ instrumentations: [new RedisCacheInstrumentation()] });
 * ```
 */
export class RedisCacheInstrumentation extends InstrumentationBase {
  // Assigned by the methods, which the constructor of the base class calls already.
  /** Absent while nothing is listened to. */
  declare private stop: (() => void) | undefined;
  declare private instruments: Instruments;

  constructor(config: InstrumentationConfig = {}) {
    super(SCOPE, '0.1.0', config);
  }

  /** Begins to listen. Listening twice makes no second span. */
  override enable(): void {
    if (this.stop) return;
    const calls = this.listenToCalls();
    const others = [
      listen<CacheConnectionMessage>(CONNECTIONS, (change) => this.changed(change)),
      listen<CacheNearMessage>(NEAR_CACHES, (message) => this.near(message)),
      listen<CacheSessionMessage>(SESSIONS, (message) => this.session(message)),
    ];
    this.stop = () => [calls, ...others].forEach((stop) => stop());
  }

  /** Stops listening. Calls that have begun are still told to their end, so that none counts as waiting for ever. */
  override disable(): void {
    this.stop?.();
    this.stop = undefined;
  }

  /** Nothing is patched: the package tells of itself. */
  protected override init(): void {}

  override _updateMetricInstruments(): void {
    const { meter } = this;
    const made = ([name, unit, description]: readonly [string, string, string]) =>
      [name, { unit, description }] as const;
    const [name, options] = made(METRICS.duration);
    this.instruments = {
      duration: meter.createHistogram(name, { ...options, advice: { explicitBucketBoundaries: DURATION_BUCKETS } }),
      reads: meter.createCounter(...made(METRICS.reads)),
      waiting: meter.createUpDownCounter(...made(METRICS.waiting)),
      retries: meter.createCounter(...made(METRICS.retries)),
      ready: meter.createGauge(...made(METRICS.ready)),
      changes: meter.createCounter(...made(METRICS.changes)),
      copies: meter.createCounter(...made(METRICS.copies)),
      entries: meter.createGauge(...made(METRICS.entries)),
      bytes: meter.createGauge(...made(METRICS.bytes)),
      feed: meter.createGauge(...made(METRICS.feed)),
      sessions: meter.createCounter(...made(METRICS.sessions)),
    };
  }

  /** @returns stops it: at once for calls to come, at their end for those that have begun. */
  private listenToCalls(): () => void {
    // Not held by us: a walk that its caller has dropped has no end.
    const running = new WeakMap<CacheCallMessage, Running>();
    let [count, isStopped] = [0, false];
    const stopBegins = listen<CacheCallMessage>(`tracing:${CALLS}:start`, (call) => {
      running.set(call, this.begin(call));
      count++;
    });
    const stopEnds = listen<CacheCallMessage>(`tracing:${CALLS}:asyncEnd`, (call) => {
      const begun = running.get(call);
      if (!begun) return;
      this.end(call, begun);
      count--;
      if (isStopped && count === 0) stopEnds();
    });
    return () => {
      isStopped = true;
      stopBegins();
      if (count === 0) stopEnds();
    };
  }

  private begin(call: CacheCallMessage): Running {
    const attributes = attributesOf(call);
    this.instruments.waiting.add(1, ofStore(call));
    const name = `${call.operation} ${call.namespace}`;
    return { span: this.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }), since: now() };
  }

  private end(call: CacheCallMessage, { span, since }: Running): void {
    const attributes = { ...attributesOf(call), ...attributesOfFailure(call) };
    const { duration, reads, waiting, retries } = this.instruments;
    duration.record((now() - since) / 1000, attributes);
    waiting.add(-1, ofStore(call));
    if (call.hits > 0) reads.add(call.hits, { ...ofStore(call), [ATTRIBUTES.result]: 'hit' });
    if (call.misses > 0) reads.add(call.misses, { ...ofStore(call), [ATTRIBUTES.result]: 'miss' });
    if (call.retries > 0) retries.add(call.retries, ofStore(call));
    span.setAttributes(attributesOfFailure(call));
    if (call.batchSize > 1) span.setAttribute(ATTRIBUTES.batchSize, call.batchSize);
    if (call.retries > 0) span.setAttribute(ATTRIBUTES.retries, call.retries);
    if (call.failure) span.setStatus({ code: SpanStatusCode.ERROR, message: call.failure.code });
    span.end();
  }

  private changed({ connection, status }: CacheConnectionMessage): void {
    const of = { [ATTRIBUTES.connection]: connection };
    this.instruments.ready.record(status === 'ready' ? 1 : 0, of);
    this.instruments.changes.add(1, { ...of, [ATTRIBUTES.status]: status });
  }

  private session({ service, namespace, type }: CacheSessionMessage): void {
    const of = { [ATTRIBUTES.service]: service, [ATTRIBUTES.namespace]: namespace };
    this.instruments.sessions.add(1, { ...of, [ATTRIBUTES.event]: type });
  }

  private near(message: CacheNearMessage): void {
    const { copies, entries, bytes, feed } = this.instruments;
    switch (message.event) {
      case 'feed-up':
      case 'feed-down':
        feed.record(message.event === 'feed-up' ? 1 : 0, { [ATTRIBUTES.connection]: message.connection });
        break;
      case 'fill':
      case 'eviction':
      case 'invalidation':
        copies.add(message.copies, { ...ofStore(message), [ATTRIBUTES.copies]: message.event });
        entries.record(message.entries, ofStore(message));
        bytes.record(message.bytes, ofStore(message));
    }
  }
}

function listen<Message>(name: string, hear: (message: Message) => void): () => void {
  const listener: ChannelListener = (message) => hear(message as Message);
  subscribe(name, listener);
  return () => void unsubscribe(name, listener);
}

function ofStore({ namespace, connection }: Pick<CacheCallMessage, 'namespace' | 'connection'>): Attributes {
  return { [ATTRIBUTES.namespace]: namespace, [ATTRIBUTES.connection]: connection };
}

function attributesOf(call: CacheCallMessage & CacheConnectionSource): Attributes {
  return {
    [ATTRIBUTES.system]: 'redis',
    [ATTRIBUTES.operation]: call.operation,
    [ATTRIBUTES.database]: String(call.database),
    ...(call.address !== undefined && { [ATTRIBUTES.address]: call.address }),
    ...(call.port !== undefined && { [ATTRIBUTES.port]: call.port }),
    ...ofStore(call),
  };
}

function attributesOfFailure({ failure }: CacheCallMessage): Attributes {
  if (!failure) return {};
  const { code, reason, reply } = failure;
  return {
    [ATTRIBUTES.error]: reply ?? (reason === undefined ? code : `${code}.${reason}`),
    ...(reply !== undefined && { [ATTRIBUTES.reply]: reply }),
  };
}
